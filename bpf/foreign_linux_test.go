// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// foreignObjects are those of cilium/ebpf and, where it is installed, Debian's
// xdp-tools.
func foreignObjects(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cilium/ebpf").Output()
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob("/usr/lib/*/bpf/xdp*.o")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(strings.TrimSpace(string(out)), func(path string, entry fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err == nil && !entry.IsDir() && (ext == ".o" || ext == ".elf") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// foreignPlaces attaches the first XDP and the first tc program to the test's
// interface, lets programs go where their section says, and the rest nowhere.
func foreignPlaces(t *testing.T, path string) (places []string, ok bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := inspect.Object(filepath.Base(path), data)
	if err != nil {
		return nil, false // not an image: package inspect tests what it says
	}
	taken := map[string]bool{}
	for _, p := range obj.Programs {
		switch {
		case (p.Hook == "xdp" || p.Hook == "tc") && !taken[p.Hook]:
			taken[p.Hook] = true
			where := p.Name + "=" + p.Hook + ":" + dev
			if p.Hook == "tc" && p.Options["direction"] == "" {
				where += ",direction=ingress"
			}
			places = append(places, where)
		case p.Target == "":
			places = append(places, p.Name+"=none")
		}
	}
	return places, true
}

// TestForeignObjects runs objects that nobody here wrote. Each runs and stops, or
// is refused in one sentence of a known kind; either way nothing is left.
func TestForeignObjects(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var ran []string
	for _, path := range foreignObjects(t) {
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		places, ok := foreignPlaces(t, path)
		if !ok {
			continue
		}
		r, err := b.Run(t.Context(), verified(t, "foreign", path), RunOptions{Attach: attachments(t, places...)})
		if err == nil {
			b.stop(r.Instance)
			ran = append(ran, name)
			continue
		}
		var kernel *KernelError
		var unsupported *UnsupportedError
		known := errors.As(err, &kernel) || errors.As(err, &unsupported) || errors.Is(err, ErrUsage) || errors.Is(err, ErrNoTarget) ||
			strings.Contains(err.Error(), "-endian")
		if !known || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: not a clear error: %v", name, err)
		}
		if rec, err := b.record("foreign"); err != nil || rec != nil {
			t.Errorf("%s: the record is left: %v, %v", name, rec, err)
		}
		b.checkBare(name)
	}
	t.Logf("%d ran: %s", len(ran), strings.Join(ran, " "))
	for _, must := range []string{
		"xdp/bpf_bpfel.o", "tcx/bpf_bpfel.o", "tracepoint_in_c/bpf_bpfel.o", "cgroup_skb/bpf_bpfel.o", "tcprtt_sockops/bpf_bpfel.o",
	} {
		if !slices.Contains(ran, must) {
			t.Errorf("%s did not run", must)
		}
	}
}
