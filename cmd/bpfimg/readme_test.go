// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
)

// shownCommand is a command of the README's tour and the output shown below it.
type shownCommand struct {
	args   []string
	output string
}

// tour returns the commands of the README that begin with a prompt.
func tour(t *testing.T) []shownCommand {
	t.Helper()
	var all []shownCommand
	inside := false
	for line := range strings.Lines(documents(t)["README.md"]) {
		switch command, typed := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case inside && typed:
			all = append(all, shownCommand{args: strings.Fields(command)})
		case inside && len(all) > 0:
			all[len(all)-1].output += line
		}
	}
	return all
}

// TestReadmeTour types what the README shows, but for what needs a kernel or starts
// something, and gets the output shown there: digests and sizes, too.
func TestReadmeTour(t *testing.T) {
	object, err := filepath.Abs("../../examples/xdp-counter/counter.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	shown := tour(t)
	registry, err := testregistry.New(testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry)
	t.Cleanup(server.Close)
	const theirs = "localhost:5000"
	ours := server.Listener.Addr().String()

	t.Chdir(t.TempDir())
	t.Setenv("BPFIMG_ROOT", t.TempDir())
	env := map[string]string{"HOME": t.TempDir(), "COSIGN_PASSWORD": "x"}
	// typed is what a command prints, as the README has it.
	typed := func(args []string) string {
		var out bytes.Buffer
		term := &terminal{in: strings.NewReader(""), out: &out, err: &out, lookup: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
		run(t.Context(), args, term)
		return strings.ReplaceAll(out.String(), ours, theirs)
	}
	typed([]string{"bpfimg", "generate-key-pair", "--output-key-prefix", "other"})
	var done []string
	for _, c := range shown {
		args := slices.Clone(c.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], theirs, ours)
		}
		switch {
		case args[0] == "cp":
			copyTo(t, object, args[2])
		case args[0] != "bpfimg", slices.Contains([]string{"registry", "run", "ps", "map", "stop"}, args[1]):
		default:
			done = append(done, args[1])
			if got, want := withoutSignature(typed(args)), withoutSignature(c.output); got != want {
				t.Errorf("%s prints:\n%s\nand the README says:\n%s", strings.Join(c.args, " "), got, want)
			}
		}
	}
	if want := []string{"inspect", "build", "push", "generate-key-pair", "sign", "verify"}; !slices.Equal(done, want) {
		t.Errorf("ran %q, want %q", done, want)
	}
}

func copyTo(t *testing.T, from, dir string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(from)), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// bundleDigest is what names a signature, which is another one each time.
var bundleDigest = regexp.MustCompile(`(bundle (?:sha256:)?)[0-9a-f]+|(?m:^(signed .*\n.*@sha256:)[0-9a-f]+)`)

func withoutSignature(output string) string {
	return strings.TrimSpace(bundleDigest.ReplaceAllString(output, "${1}${2}…"))
}
