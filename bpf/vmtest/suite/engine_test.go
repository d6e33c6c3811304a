// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/schemas"
)

// TestLackOf reads what a kernel lacks out of bpfimg's own errors, and nothing
// into others.
func TestLackOf(t *testing.T) {
	since := &bpf.UnsupportedError{Feature: "tcx links", Since: "6.6", Kernel: "6.1.0-56-cloud-amd64"}
	built := &bpf.UnsupportedError{Feature: "kprobes (CONFIG_KPROBES)", Kernel: "6.18.1"}
	const prefix = "warning: something\nerror: running 127.0.0.1:5000/testdata/x@sha256:00: p=tc:eth0: "
	for _, tc := range []struct {
		name       string
		code       int
		stderr     string
		want       string
		foreground bool
	}{
		{"version", exitKernel, prefix + since.Error() + "\n", "tcx links: needs Linux 6.6 or newer", false},
		{"build", exitKernel, prefix + built.Error() + "\n", "built without kprobes (CONFIG_KPROBES)", false},
		{
			"perf links", exitKernel, prefix + "keeping a probe attached: needs Linux 5.15 or newer, this is 5.10.0; --foreground attaches it\n",
			"keeping a probe attached: needs Linux 5.15 or newer", true,
		},
		{
			"not permitted", exitKernel, prefix + "asking the kernel what it supports: fentry programs are not permitted here although the capability is held\n",
			"fentry programs are not permitted here", false,
		},
		{
			"no dispatcher", exitKernel, prefix + "the kernel refused: via=dispatcher is not possible: XDP programs cannot share here: operation not permitted\n",
			"XDP programs cannot share here", false,
		},
		{"another exit code", 1, prefix + since.Error() + "\n", "", false},
		{"the verifier", exitKernel, prefix + "loading program \"p\": the verifier rejected it: R1 invalid\n", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := lackOf(&callError{code: tc.code, stderr: tc.stderr})
			if got == nil {
				got = &lackError{}
			}
			if got.what != tc.want || got.foreground != tc.foreground {
				t.Errorf("got %q, foreground %v; want %q, %v", got.what, got.foreground, tc.want, tc.foreground)
			}
		})
	}
	if lackOf(errors.New(since.Error())) != nil {
		t.Error("an error that bpfimg did not end with is taken for what the kernel lacks")
	}
}

// TestCleanupFails makes sure that a row that leaves something fails, whatever
// came of it before.
func TestCleanupFails(t *testing.T) {
	left := errors.New("busy")
	for _, err := range []error{nil, errDevice, &lackError{what: "x"}} {
		got := keepLack(err, left)
		var lack *lackError
		if got == nil || errors.As(got, &lack) || errors.Is(got, errDevice) || !errors.Is(got, left) {
			t.Errorf("after %v: %v", err, got)
		}
	}
}

func TestEntryCount(t *testing.T) {
	words := func(list ...uint64) (b []byte) {
		for _, w := range list {
			b = binary.NativeEndian.AppendUint64(b, w)
		}
		return b
	}
	four := binary.NativeEndian.AppendUint32(nil, 7)
	for _, tc := range []struct {
		name string
		data []byte
		size int
		all  bool
		want uint64
	}{
		{"a counter", words(3), 8, false, 3},
		{"the first of a struct", words(3, 400), 16, false, 3},
		{"four bytes", four, 4, false, 7},
		{"two processors", words(3, 400, 5, 600), 16, false, 8},
		{"two processors, four bytes", append(append(slices.Clone(four), 0, 0, 0, 0), append(slices.Clone(four), 0, 0, 0, 0)...), 4, false, 14},
		{"global variables", words(1, 2, 3), 24, true, 6},
		{"nothing", nil, 0, false, 0},
	} {
		if got := entryCount(tc.data, tc.size, tc.all); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestExpand(t *testing.T) {
	e := &env{}
	e.set("DEV", "eth0")
	got, err := e.expand([]string{"p=xdp:$DEV,mode=native", "none"})
	if err != nil || !slices.Equal(got, []string{"p=xdp:eth0,mode=native", "none"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := e.expand([]string{"p=xdp:$NOBODY"}); err == nil || !strings.Contains(err.Error(), "$NOBODY") {
		t.Errorf("got error %v, want one about $NOBODY", err)
	}
}

// TestStatus reads what bpfimg writes of an instance.
func TestStatus(t *testing.T) {
	text, err := json.Marshal([]bpf.Status{{Instance: schemas.Instance{Name: "n", State: "running"}, Problems: []string{"p"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []status
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if want := []status{{Name: "n", State: "running", Problems: []string{"p"}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v, of %s", got, want, text)
	}
}
