// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const objIter = "testdata/iter.bpf.o"

// TestIter runs iterators and reads them, as often as one likes.
func TestIter(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	b := newBench(t)
	rec := b.start(verified(t, "iter", objIter), RunOptions{Attach: attachments(t,
		"list_tasks=iter:task", "list_numbers=iter:bpf_map_elem,map=numbers")})
	if got := rec.Links[0].Map; got != "numbers" {
		t.Errorf("the record says map %q", got)
	}
	if n := b.hits("iter"); n[0]+n[1] != 0 {
		t.Errorf("hits before reading: %v", n)
	}
	for range 2 {
		if lines := readIter(t, rec.Links[1].Pin); !slices.Contains(lines, self+" "+self) {
			t.Errorf("process %s is not among %q", self, lines)
		}
		if lines := readIter(t, rec.Links[0].Pin); !slices.Equal(lines, []string{"0", "1", "2"}) {
			t.Errorf("keys are %q", lines)
		}
	}
	if n := b.hits("iter"); n[0] == 0 || n[1] != 6 {
		t.Errorf("hits after reading: %v", n)
	}
	b.stop(rec)
	if _, err := os.ReadFile(rec.Links[0].Pin); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading a stopped iterator: %v", err)
	}
}

// TestIterOfProcess lists threads of this process only.
func TestIterOfProcess(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, option := range []string{"pid=", "tid="} {
		b := newBench(t)
		r, err := b.Run(t.Context(), verified(t, "iter", objIter), RunOptions{Attach: attachments(t,
			"list_tasks=iter:task,"+option+self, "list_numbers=none")})
		var unsupported *UnsupportedError
		if errors.As(err, &unsupported) {
			wantError(t, err, nil, "6.1")
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := readIter(t, r.Instance.Links[0].Pin)
		if !slices.Contains(lines, self+" "+self) || slices.ContainsFunc(lines, func(l string) bool { return !strings.HasPrefix(l, self+" ") }) {
			t.Errorf("%s: %q", option, lines)
		}
		if option == "tid=" && len(lines) != 1 {
			t.Errorf("%s: %q", option, lines)
		}
		b.stop(r.Instance)
	}
}

func TestIterRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, tc := range map[string]struct {
		attach string
		target error
		words  []string
	}{
		"no kind":         {"iter:no_such", ErrNoTarget, []string{`iterate over "no_such"`, "bpf_map_elem, ", "task, "}},
		"a loop's":        {"iter:num_new", ErrNoTarget, []string{"num_new"}},
		"no map":          {"iter:bpf_map_elem", ErrUsage, []string{"option map"}},
		"unknown map":     {"iter:bpf_map_elem,map=other", ErrUsage, []string{`no map "other"`, `"hits", "numbers"`}},
		"map of tasks":    {"iter:task,map=numbers", ErrUsage, []string{"option map is for iterators over bpf_map_elem"}},
		"pid of a map":    {"iter:bpf_map_elem,map=numbers,pid=1", ErrUsage, []string{"option pid is for iterators over task"}},
		"pid and tid":     {"iter:task,pid=1,tid=1", ErrUsage, []string{"exclude each other"}},
		"bad pid":         {"iter:task,pid=0", ErrUsage, []string{"number of a process or thread"}},
		"no process":      {"iter:task,pid=2147483647", ErrNoTarget, []string{"no process or thread"}},
		"order":           {"iter:cgroup,order=up", ErrUsage, []string{"descendants-pre"}},
		"cgroup, missing": {"iter:cgroup,cgroup=/no/such", ErrNoTarget, []string{`no cgroup "/no/such"`}},
		"cgroup, short":   {"iter:cgroup,cgroup=web", ErrUsage, []string{"absolute path"}},
		// The program is for another kind, which the verifier finds out.
		"wrong kind": {"iter:ksym", nil, []string{"list_tasks"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Run(t.Context(), verified(t, "iter", objIter), RunOptions{
				Attach: attachments(t, "list_tasks="+tc.attach, "list_numbers=none"),
			})
			wantError(t, err, tc.target, tc.words...)
			if rec, err := b.record("iter"); err != nil || rec != nil {
				t.Errorf("left: %v, %v", rec, err)
			}
		})
	}
}

// readIter reads a pinned iterator.
func readIter(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}
