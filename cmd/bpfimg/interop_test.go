// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/rogpeppe/go-internal/testscript"
)

// registries are the ones that images travel through: name → how to start it on
// a loopback address with its data in dir. All are the real software.
var registries = map[string]func(t *testing.T, dir string) (address string){
	"testregistry": func(t *testing.T, dir string) string {
		r, err := testregistry.New(testregistry.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(r)
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	},
	"docker-registry": func(t *testing.T, dir string) string { return distribution(t, dir, "docker-registry") },
	"distribution-v3": func(t *testing.T, dir string) string { return distribution(t, dir, "registry") },
	"crane": func(t *testing.T, dir string) string {
		address := freeAddress(t)
		serveRegistry(t, address, "crane", "registry", "serve", "--address", address, "--disk", dir)
		return address
	},
}

// TestInterop runs testdata/interop/*.txtar against each registry: what other
// people's clients make of our images and signatures, and we of theirs.
func TestInterop(t *testing.T) {
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			address := start(t, t.TempDir())
			p := scriptParams(t, "testdata/interop")
			setup := p.Setup
			p.Setup = func(env *testscript.Env) error {
				env.Setenv("REGISTRY", address)
				// podman wants its folders below 50 characters.
				short, err := os.MkdirTemp("", "bt")
				if err != nil {
					return err
				}
				t.Cleanup(func() { os.RemoveAll(short) })
				env.Setenv("SHORT", short)
				return setup(env)
			}
			testscript.Run(t, p)
		})
	}
}

// distribution starts Debian's docker-registry (2.8) or distribution 3, which
// share the form of their configuration.
func distribution(t *testing.T, dir, program string) string {
	address := freeAddress(t)
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s}\nhttp: {addr: %s}\n", dir, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	serveRegistry(t, address, program, "serve", config)
	return address
}

// serveRegistry starts a registry's program and waits until it answers.
func serveRegistry(t *testing.T, address, program string, args ...string) {
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("SKIP-REASON: %s is not installed; .ci/install brings it", program)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // ends by the signal
	})
	await(t, "http://"+address+"/v2/")
}

// await polls until a server that was just started answers.
func await(t *testing.T, url string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers := func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return true
	}
	if !soon(answers) {
		t.Fatalf("%s did not answer", url)
	}
}
