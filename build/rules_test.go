// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
)

// These are about objects no compiler here makes.

func TestUnknownSection(t *testing.T) {
	t.Parallel()
	err := checkTogether([]schemas.Object{{File: "a.o", Programs: []schemas.Program{{Name: "f", Type: "unspec", Section: "weird"}}}})
	for _, part := range []string{`"f"`, `"a.o"`, `"weird"`} {
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), part) {
			t.Errorf("got error %v, want %v with %s", err, ErrInput, part)
		}
	}
}

func TestMapTypes(t *testing.T) {
	t.Parallel()
	hash := schemas.Object{File: "a.o", Maps: []schemas.Map{{Name: "m", Type: "hash"}, {Name: ".rodata", Type: "array"}, {Name: ".kconfig", Type: "array"}}}
	array := schemas.Object{File: "b.o", Maps: []schemas.Map{{Name: "m", Type: "array"}}}
	got, err := mapTypes([]schemas.Object{hash, hash})
	if diff := cmp.Diff(map[string]string{"m": "hash"}, got); err != nil || diff != "" {
		t.Errorf("error %v, types (-want +got):\n%s", err, diff)
	}
	if _, err := mapTypes([]schemas.Object{hash, array}); !errors.Is(err, ErrInput) {
		t.Errorf("maps of two types: got error %v, want %v", err, ErrInput)
	}
}

func TestArchitectures(t *testing.T) {
	t.Parallel()
	amd := schemas.Object{File: "a.o", Arch: "amd64", Endianness: "little"}
	arm := schemas.Object{File: "b.o", Arch: "arm64", Endianness: "little"}
	any := schemas.Object{File: "c.o", Endianness: "little"}
	p, err := choosePlatform("", []schemas.Object{any, arm, any, arm})
	if err != nil || p.Architecture != "arm64" {
		t.Errorf("platform %v, error %v; want arm64", p, err)
	}
	if _, err := choosePlatform("", []schemas.Object{amd, any, arm}); !errors.Is(err, ErrInput) {
		t.Errorf("two architectures: got error %v, want %v", err, ErrInput)
	}
	if _, err := choosePlatform("linux/arm64", []schemas.Object{amd, arm}); err != nil {
		t.Errorf("two architectures and --platform: %v", err)
	}
}
