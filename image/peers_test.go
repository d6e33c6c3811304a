// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
	return startRegistry(t, program, "")
}

// startRegistry runs a program of distribution with more settings. The kernel
// chooses the port and the program says which: one chosen beforehand may be
// somebody else's by the time it listens.
func startRegistry(t *testing.T, program, settings string) (host string) {
	t.Helper()
	needProgram(t, program)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: info}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: '127.0.0.1:0'}\n%s",
		filepath.Join(dir, "data"), settings)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", config)
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	go listensAt(log, listening)
	t.Cleanup(func() {
		cancel()
		for range listening { // ends with the log
		}
		_ = cmd.Wait() // killed on purpose
	})
	host, ok := <-listening
	if !ok {
		t.Fatalf("%s ended before it listened", program)
	}
	return host
}

// listensAt reads what a registry logs, and sends where it listens. It goes on to the
// end: the program must not wait for a reader.
func listensAt(log io.Reader, at chan<- string) {
	defer close(at)
	sent := false
	for lines := bufio.NewReader(log); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if _, rest, ok := strings.Cut(line, `msg="listening on `); ok && !sent {
			address, _, _ := strings.Cut(rest, `"`)
			at <- address
			sent = true
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
	t.Parallel()
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
