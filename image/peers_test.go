// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func needProgram(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIP-REASON: %s is not installed", name)
	}
}

// dockerRegistryServer runs Debian's docker-registry (distribution 2.8).
func dockerRegistryServer(t *testing.T) string {
	t.Helper()
	return distributionServer(t, "docker-registry")
}

// distributionServer runs it, or distribution 3 ("registry"), on a free loopback
// port.
func distributionServer(t *testing.T, program string) string {
	t.Helper()
	needProgram(t, program)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), host)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed on purpose
	})
	waitFor(t, "http://"+host+"/v2/")
	return host
}

// waitFor asks url until it answers.
func waitFor(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s did not start", url)
		}
	}
}

// run runs a program and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	needProgram(t, name)
	cmd := exec.CommandContext(t.Context(), name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestPeersReadStore: the store is an image layout like any other.
func TestPeersReadStore(t *testing.T) {
	s := newStore(t)
	im := newImage(t, "peers", nil)
	ref := mustParse(t, "localhost:5000/net/xdp-counter:v1")
	im.put(t, s, ref)
	sig := referrerOf(t, im.manifest, "signature")
	sig.put(t, s, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
	host, _ := newRegistryServer(t, true)

	t.Run("skopeo", func(t *testing.T) {
		out := run(t, "skopeo", "inspect", "--raw", "oci:"+s.dir+":"+ref.String())
		if out != string(im.manifest.Bytes) {
			t.Errorf("got %s, want %s", out, im.manifest.Bytes)
		}
		run(t, "skopeo", "copy", "--preserve-digests", "--dest-tls-verify=false", "oci:"+s.dir+":"+ref.String(), "docker://"+host+"/skopeo:v1")
		im.check(t, testClient(t, RegistryOptions{}), mustParse(t, host+"/skopeo:v1"))
	})
	t.Run("crane", func(t *testing.T) {
		run(t, "crane", "push", "--index", s.dir, host+"/crane:v1")
		im.check(t, testClient(t, RegistryOptions{}), mustParse(t, host+"/crane@"+im.manifest.Descriptor.Digest.String()))
	})
}
