// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
)

// serve runs a registry on loopback until stop is called.
func serve(t *testing.T, opts testregistry.Options) (address string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan string, 1), make(chan error, 1)
	r := newRegistry(t, opts)
	go func() { ended <- r.Serve(ctx, "127.0.0.1:0", func(address string) { ready <- address }) }()
	select {
	case address = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return address, stop
}

func TestServe(t *testing.T) {
	t.Parallel()
	address, stop := serve(t, testregistry.Options{})
	resp, err := http.Get("http://" + address + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s (%v)", resp.Status, err)
	}
	stop()
	var dialer net.Dialer
	if conn, err := dialer.DialContext(t.Context(), "tcp", address); err == nil {
		conn.Close()
		t.Error("it still listens after its context ended")
	}
	if err := newRegistry(t, testregistry.Options{}).Serve(t.Context(), "256.0.0.1:0", nil); err == nil || !strings.Contains(err.Error(), "256.0.0.1") {
		t.Errorf("got %v", err)
	}
}

// tool finds a program and returns a function that runs it.
func tool(t *testing.T, name string) func(args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		home, _ := os.UserHomeDir()
		path = filepath.Join(home, "go", "bin", name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("SKIP-REASON: needs %s (go install or apt-get)", name)
		}
	}
	return func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

// layoutImage is an image of random content, made by crane.
func layoutImage(t *testing.T, crane func(...string) string) string {
	t.Helper()
	layer := filepath.Join(t.TempDir(), "layer.tar")
	tarball := filepath.Join(t.TempDir(), "image.tar")
	// An empty tar archive is two blocks of zeros.
	if err := os.WriteFile(layer, make([]byte, 1024), 0o644); err != nil {
		t.Fatal(err)
	}
	crane("append", "--new_layer", layer, "--new_tag", "image:v1", "--output", tarball)
	return tarball
}

func TestCrane(t *testing.T) {
	t.Parallel()
	crane := tool(t, "crane")
	dir := t.TempDir()
	address, stop := serve(t, testregistry.Options{Dir: dir})
	ref := address + "/net/image:v1"
	crane("push", layoutImage(t, crane), ref)
	want := strings.TrimSpace(crane("digest", ref))
	crane("copy", ref, address+"/other/place:v2") // mounts
	if got := strings.TrimSpace(crane("ls", address+"/other/place")); got != "v2" {
		t.Errorf("tags: %q", got)
	}
	if got := crane("catalog", address); !strings.Contains(got, "net/image") || !strings.Contains(got, "other/place") {
		t.Errorf("catalog: %q", got)
	}
	crane("tag", ref, "again")
	crane("delete", address+"/net/image:again")
	stop()

	address, _ = serve(t, testregistry.Options{Dir: dir})
	if got := strings.TrimSpace(crane("digest", address+"/net/image:v1")); got != want {
		t.Errorf("after a restart: %q, want %q", got, want)
	}
	crane("validate", "--remote", address+"/net/image:v1")
	crane("validate", "--remote", address+"/other/place:v2")
}

func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeo, crane := tool(t, "skopeo"), tool(t, "crane")
	address, _ := serve(t, testregistry.Options{Dir: t.TempDir()})
	from := "docker-archive:" + layoutImage(t, crane)
	skopeo("copy", "--dest-tls-verify=false", from, "docker://"+address+"/a:v1")
	skopeo("copy", "--format=oci", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+address+"/a:v1", "docker://"+address+"/b:v1")
	skopeo("copy", "--src-tls-verify=false", "docker://"+address+"/b:v1", "dir:"+t.TempDir())
	if got := skopeo("list-tags", "--tls-verify=false", "docker://"+address+"/b"); !strings.Contains(got, `"v1"`) {
		t.Errorf("tags: %s", got)
	}
	skopeo("delete", "--tls-verify=false", "docker://"+address+"/b:v1")
	crane("validate", "--remote", address+"/a:v1")
}
