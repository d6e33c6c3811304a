// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// TestDefaults: what labels claim is taken over where the object bears it out.
func TestDefaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		claim   func(*schemas.Description)
		target  string            // of the only program, afterwards
		options map[string]string // likewise
		warning string            // "" for none
	}{
		{"true", func(*schemas.Description) {}, "eth7", map[string]string{"mode": "generic"}, ""},
		{"another type", func(d *schemas.Description) { d.Objects[0].Programs[0].Type = "kprobe" }, "", nil, `is a "kprobe"`},
		{"another section", func(d *schemas.Description) { d.Objects[0].Programs[0].Section = "tc" }, "", nil, `section "tc"`},
		{"another program", func(d *schemas.Description) { d.Objects[0].Programs[0].Name = "\x1b[2J" }, "", nil, `program "\x1b[2J"`},
		{"another content", func(d *schemas.Description) { d.Objects[0].Digest = someOther }, "", nil, "another content"},
		{"another object", func(d *schemas.Description) { d.Objects[0].File = "x.o" }, "", nil, `object "x.o" that is not`},
		{"no hook", func(d *schemas.Description) { d.Objects[0].Programs[0].Hook = "" }, "", map[string]string{"mode": "generic"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			object, err := inspect.Object(img.Objects[0].File, img.Objects[0].Bytes)
			if err != nil {
				t.Fatal(err)
			}
			object.Programs[0].Hook, object.Programs[0].Target = "xdp", "eth7"
			object.Programs[0].Options = map[string]string{"mode": "generic"}
			object.License = "claimed"
			img.Described = &schemas.Description{Name: "n", Version: "v", Objects: []schemas.Object{object}}
			tt.claim(img.Described)
			v, err := Skip(img, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			desc := v.Description()
			if desc.Name != "n" || desc.Version != "v" || len(desc.Objects) != 1 || desc.Objects[0].License == "claimed" {
				t.Errorf("description %+v", desc)
			}
			program := desc.Objects[0].Programs[0]
			if program.Name != "xdp_count" || program.Type != "xdp" || program.Target != tt.target || !maps.Equal(program.Options, tt.options) {
				t.Errorf("program %+v", program)
			}
			if got := strings.Join(v.Warnings(), "\n"); (got == "") != (tt.warning == "") || !strings.Contains(got, tt.warning) {
				t.Errorf("warnings %q, want %q", got, tt.warning)
			}
		})
	}
}

// TestDefaultOfAnotherHook: what the section says of its own hook is nothing that
// the hook of the attach default knows.
func TestDefaultOfAnotherHook(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../examples/tc-bytes/bytes.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	object, err := inspect.Object("bytes.bpf.o", data)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(object.Programs, func(p schemas.Program) bool { return p.Hook == "tc" && p.Options["direction"] != "" })
	if i < 0 {
		t.Fatalf("no program whose section says a direction: %+v", object.Programs)
	}
	object.Programs[i].Hook, object.Programs[i].Target, object.Programs[i].Options = "netkit", "nk0", nil // as build writes it
	desc, warnings, err := Describe(&pull.Image{
		Objects:   []pull.Object{{File: object.File, Bytes: data, Digest: object.Digest}},
		Described: &schemas.Description{Objects: []schemas.Object{object}},
	})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if got := desc.Objects[0].Programs[i]; got.Hook != "netkit" || got.Target != "nk0" || len(got.Options) > 0 {
		t.Errorf("goes to %s:%s with %v, want netkit:nk0 and no direction of tc", got.Hook, got.Target, got.Options)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	t.Parallel()
	img := newImage(t)
	img.Described = &schemas.Description{}
	for i := range 1000 {
		img.Described.Objects = append(img.Described.Objects, schemas.Object{File: fmt.Sprint(i, strings.Repeat("x", 4096))})
	}
	v, err := Skip(img, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Join(v.Warnings(), "")); len(v.Warnings()) != maxWarnings+1 || n > 8192 {
		t.Errorf("%d warnings of %d bytes", len(v.Warnings()), n)
	}
}
