// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package kconfig

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

var (
	tBool  = &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	tChar  = &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	tInt   = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	tState = &btf.Enum{Name: "libbpf_tristate", Size: 4, Values: []btf.EnumValue{{Name: "TRI_NO"}, {Name: "TRI_YES", Value: 1}, {Name: "TRI_MODULE", Value: 2}}}
	tText  = &btf.Array{Type: tChar, Index: tInt, Nelems: 6}
)

const config = `#
# Automatically generated file; DO NOT EDIT.
CONFIG_HZ=250
CONFIG_BIG=4294967296
CONFIG_START=0x1000000
CONFIG_NET=y
CONFIG_XFS=m
# CONFIG_OFF is not set
CONFIG_HOST="(none)"
CONFIG_QUOTED="a\"b"
`

func kernel(text string) Kernel {
	return Kernel{
		Config:         func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		Version:        func() (uint32, error) { return 6<<16 | 1<<8 | 7, nil },
		SyscallWrapper: func() (bool, error) { return true, nil },
		Cookie:         func() (bool, error) { return false, nil },
	}
}

func one(name string, t btf.Type) *btf.Datasec {
	size, _ := btf.Sizeof(t)
	return &btf.Datasec{Name: ".kconfig", Size: uint32(size), Vars: []btf.VarSecinfo{{Type: &btf.Var{Name: name, Type: t}, Size: uint32(size)}}}
}

func TestResolve(t *testing.T) {
	word := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	for _, tc := range []struct {
		name string
		typ  btf.Type
		want []byte
		err  string
	}{
		{"CONFIG_HZ", tInt, word(250), ""},
		{"CONFIG_HZ", &btf.Const{Type: tInt}, word(250), ""},
		{"CONFIG_START", tInt, word(1 << 24), ""},
		{"CONFIG_BIG", tInt, nil, "CONFIG_BIG is 4294967296 in this kernel"},
		{"CONFIG_NET", tBool, []byte{1}, ""},
		{"CONFIG_NET", tChar, []byte("y"), ""},
		{"CONFIG_NET", tState, word(1), ""},
		{"CONFIG_NET", tInt, nil, "want bool"},
		{"CONFIG_XFS", tState, word(2), ""},
		{"CONFIG_XFS", tBool, nil, "want bool"},
		{"CONFIG_HZ", tText, nil, "want bool"},
		{"CONFIG_HOST", tText, []byte("(none\x00"), ""},
		{"CONFIG_QUOTED", tText, []byte("a\"b\x00\x00\x00"), ""},
		{"CONFIG_HOST", tInt, nil, "want bool"},
		{"CONFIG_OFF", tBool, nil, "CONFIG_OFF is not set"},
		{"LINUX_KERNEL_VERSION", tInt, word(0x060107), ""},
		{"LINUX_HAS_SYSCALL_WRAPPER", tBool, []byte{1}, ""},
		{"LINUX_HAS_BPF_COOKIE", tBool, []byte{0}, ""},
		{"LINUX_NEWS", tBool, nil, "LINUX_NEWS is not set"},
	} {
		got, err := Resolve(one(tc.name, tc.typ), nil, kernel(config))
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: error %v, want %q", tc.name, err, tc.err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, tc.want) {
			t.Errorf("%s as %v: %x, %v; want %x", tc.name, tc.typ, got, err, tc.want)
		}
	}
}

func TestResolveWeak(t *testing.T) {
	got, err := Resolve(one("CONFIG_OFF", tInt), map[string]bool{"CONFIG_OFF": true}, kernel(config))
	if err != nil || !bytes.Equal(got, make([]byte, 4)) {
		t.Errorf("%x, %v", got, err)
	}
	var missing *MissingError
	if _, err := Resolve(one("CONFIG_OFF", tInt), map[string]bool{"CONFIG_HZ": true}, kernel(config)); !errors.As(err, &missing) {
		t.Errorf("not weak: %v", err)
	}
}

// TestNoConfig: the configuration is looked for only when an option is asked for.
func TestNoConfig(t *testing.T) {
	k := kernel("")
	gone := errors.New("gone")
	k.Config = func() (io.ReadCloser, error) { return nil, gone }
	if _, err := Resolve(one("LINUX_KERNEL_VERSION", tInt), nil, k); err != nil {
		t.Error(err)
	}
	if _, err := Resolve(one("CONFIG_HZ", tInt), nil, k); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}

func TestPacked(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(config)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := Resolve(one("CONFIG_HZ", tInt), nil, kernel(b.String())); err != nil || got[0]|got[3] != 250 {
		t.Errorf("%x, %v", got, err)
	}
	huge := strings.Repeat("# nothing\n", maxConfig/10+1)
	if _, err := Resolve(one("CONFIG_HZ", tInt), nil, kernel(huge)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a huge configuration: %v", err)
	}
}

// FuzzResolve: whatever the configuration says, the bytes are as many as the
// section has.
func FuzzResolve(f *testing.F) {
	for _, line := range strings.SplitAfter(config, "\n") {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range []btf.Type{tBool, tChar, tInt, tState, tText} {
			section := one("CONFIG_HZ", typ)
			if got, err := Resolve(section, nil, kernel(strings.ReplaceAll(text, "CONFIG_NET", "CONFIG_HZ"))); err == nil && len(got) != int(section.Size) {
				t.Fatalf("%d bytes of %d", len(got), section.Size)
			}
		}
	})
}
