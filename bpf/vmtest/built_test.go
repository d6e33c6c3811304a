// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMain removes what the tests have built.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(built.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// built is what several tests need and one of them builds.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string // by package and flags
	// What publish has made, "" before it did.
	keys, registry string
}

// builtDir is the folder of what is built; the caller has locked built.
func builtDir(t *testing.T) string {
	t.Helper()
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "bpfimg-vmtest-built-")
		if err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, map[string]string{}
	}
	return built.dir
}

// stripped is the flag that leaves the symbol table out of a binary.
const stripped = "-ldflags=-s -w"

// goBuild builds a static binary for the machine and returns its path.
func goBuild(t *testing.T, pkg string, flags ...string) string {
	t.Helper()
	return goOnce(t, filepath.Base(pkg), slices.Concat([]string{"build", "-trimpath"}, flags), pkg)
}

// goTestBinary builds the tests of a package, static.
func goTestBinary(t *testing.T, pkg string) string {
	t.Helper()
	return goOnce(t, filepath.Base(pkg)+".test", []string{"test", "-c", "-trimpath", stripped}, pkg)
}

// goOnce has go build a package, the first time it is asked to.
func goOnce(t *testing.T, name string, args []string, pkg string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	dir := builtDir(t)
	key := strings.Join(append(args, pkg), " ")
	if path := built.paths[key]; path != "" {
		return path
	}
	out := filepath.Join(dir, fmt.Sprint(len(built.paths)), name)
	cmd := exec.CommandContext(t.Context(), "go", append(args, "-o", out, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", key, err, msg)
	}
	built.paths[key] = out
	return out
}

// published is what publish makes of the binary under test: the folders of the keys and
// of the registry's content. It makes it once: to sign takes it half a minute.
func published(t *testing.T, bpfimg string) (keys, registry string) {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	if built.registry == "" {
		built.keys, built.registry = publish(t, filepath.Join(builtDir(t), "published"), bpfimg)
	}
	return built.keys, built.registry
}
