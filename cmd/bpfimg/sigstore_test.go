// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// rekorOrigin names the log in what it signs. Verifiers take it from the log's
// address, without the port (sigstore-go, pkg/verify/tlog.go).
const rekorOrigin = "127.0.0.1"

// TestSigstore runs testdata/sigstore/*.txtar with Sigstore's own certificate
// authority, transparency log and timestamp authority on this machine.
func TestSigstore(t *testing.T) {
	for _, program := range []string{"sigstore-fulcio", "sigstore-rekor", "sigstore-timestamp", "cosign2", "cosign3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIP-REASON: %s is not installed; .ci/install services brings it", program)
		}
	}
	s := startSigstore(t)
	p := scriptParams(t, "testdata/sigstore")
	setup := p.Setup
	p.Cmds["vouched"] = cmdVouched
	p.Setup = func(env *testscript.Env) error {
		for name, data := range s.files() {
			if err := os.WriteFile(filepath.Join(env.WorkDir, name), data, 0o600); err != nil {
				return err
			}
		}
		for k, v := range map[string]string{
			"FULCIO": s.fulcio, "REKOR": s.rekor, "TSA": s.timestamp, "ORIGIN": rekorOrigin,
			"START":  time.Now().Add(-time.Hour).UTC().Format(time.RFC3339),
			"ISSUER": s.issuer.url(), "GITHUB": s.issuer.url() + githubPath,
			"ACTIONS_URL": s.issuer.url() + runnerPath + "?v=1",
		} {
			env.Setenv(k, v)
		}
		return setup(env)
	}
	testscript.Run(t, p)
}

// sigstore is the running services.
type sigstore struct {
	t                        *testing.T
	issuer                   *issuer
	fulcio, rekor, timestamp string // URLs
	rekorPublic              []byte
}

func startSigstore(t *testing.T) *sigstore {
	s := &sigstore{t: t, issuer: newIssuer(t)}
	dir := t.TempDir()
	port := func() (address, port string) {
		address = freeAddress(t)
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		return "http://" + address, port
	}
	config := filepath.Join(dir, "fulcio.json")
	s.write(config, s.issuer.fulcioConfig())
	base, http1 := port()
	_, grpc1 := port()
	_, metrics1 := port()
	s.fulcio = base
	startService(t, s.fulcio+"/healthz", "sigstore-fulcio", "serve", "--host", "127.0.0.1", "--port", http1,
		"--grpc-host", "127.0.0.1", "--grpc-port", grpc1, "--metrics-port", metrics1, "--ca", "ephemeralca", "--ct-log-url=",
		"--config-path", config, "--legacy-unix-domain-socket", fmt.Sprintf("@bpfimg-test-%d", os.Getpid()))

	base, http2 := port()
	s.timestamp = base + "/api/v1/timestamp"
	startService(t, base+"/ping", "sigstore-timestamp", "serve", "--host", "127.0.0.1", "--port", http2,
		"--timestamp-signer", "memory", "--disable-ntp-monitoring")

	key := filepath.Join(dir, "rekor.pem")
	s.write(key, s.rekorKey())
	base, http3 := port()
	_, grpc3 := port()
	_, metrics3 := port()
	s.rekor = base
	startService(t, s.rekor+"/healthz", "sigstore-rekor", "serve", "--http-port", http3, "--grpc-port", grpc3, "--http-metrics-port", metrics3,
		"--hostname", rekorOrigin, "--storage-dir", filepath.Join(dir, "log"), "--signer-filepath", key, "--checkpoint-interval", "1s")
	return s
}

func (s *sigstore) write(path string, data []byte) {
	s.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// rekorKey makes the key of the log, and keeps its public half.
func (s *sigstore) rekorKey() []byte {
	s.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		s.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		s.t.Fatal(err)
	}
	s.rekorPublic = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// files are what scripts find: keys and certificates of the services, and
// tokens.
func (s *sigstore) files() map[string][]byte {
	var bundle struct {
		Chains []struct {
			Certificates []string `json:"certificates"`
		} `json:"chains"`
	}
	if err := json.Unmarshal(s.get(s.fulcio+"/api/v2/trustBundle"), &bundle); err != nil || len(bundle.Chains) != 1 {
		s.t.Fatalf("certificates of Fulcio: %v, %v", bundle, err)
	}
	return map[string][]byte{
		"fulcio.pem": []byte(strings.Join(bundle.Chains[0].Certificates, "\n")),
		"tsa.pem":    s.get(s.timestamp + "/certchain"),
		"rekor.pub":  s.rekorPublic,
		"token":      []byte(s.issuer.personToken(s.t)),
	}
}

func (s *sigstore) get(url string) []byte {
	s.t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// startService starts a program and waits until url answers. It ends with the
// test.
func startService(t *testing.T, url, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // ends by the signal
		if data, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s:\n%s", program, data[max(0, len(data)-4000):])
		}
		_ = log.Close()
	})
	await(t, url)
}
