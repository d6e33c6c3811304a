// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestProblems: a record and the kernel differ in one thing, and that is said. What
// is found under a pin must be what was put there.
func TestProblems(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "x", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",via=link")})
	for _, tt := range []struct {
		name   string
		change func(*schemas.Instance)
		want   string // of the one problem, "" for none
	}{
		{"nothing", func(*schemas.Instance) {}, ""},
		{"id of a program", func(r *schemas.Instance) { r.Programs[0].ID++ }, `program "xdp_count" is not the one that was loaded`},
		{"tag of a program", func(r *schemas.Instance) { r.Programs[0].Tag = "0123456789abcdef" }, `program "xdp_count" is not the one that was loaded`},
		{"no program", func(r *schemas.Instance) { r.Programs[0].Pin += "-" }, `program "xdp_count" is gone: somebody removed its pin`},
		{"program without a pin", func(r *schemas.Instance) { r.Programs[0].Pin = "" }, ""},
		{"id of a map", func(r *schemas.Instance) { r.Maps[0].ID++ }, `map "pkts" is not the one that was created`},
		{"no map", func(r *schemas.Instance) { r.Maps[0].Pin += "-" }, `map "pkts" is gone: somebody removed its pin`},
		{"map without a pin", func(r *schemas.Instance) { r.Maps[0].Pin = "" }, ""},
		{"id of an attachment", func(r *schemas.Instance) { r.Links[0].ID++ }, `the attachment of program "xdp_count" is not the one that was made`},
		{"no attachment", func(r *schemas.Instance) { r.Links[0].Pin += "-" }, `the attachment of program "xdp_count" is gone: somebody removed its pin`},
		{"attachment without a pin", func(r *schemas.Instance) { r.Links[0].Pin = "" }, ""},
		{"second part of an attachment", func(r *schemas.Instance) {
			r.Links[0].More = []schemas.InstanceLinkPart{{ID: r.Links[0].ID + 1, Pin: r.Links[0].Pin}}
		}, `the attachment of program "xdp_count" is not the one that was made`},
	} {
		changed := rec
		changed.Programs, changed.Maps, changed.Links = slices.Clone(rec.Programs), slices.Clone(rec.Maps), slices.Clone(rec.Links)
		tt.change(&changed)
		got := problems(&changed)
		if len(got) > 1 || (len(got) == 1) != (tt.want != "") || len(got) == 1 && !strings.HasPrefix(got[0], tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	b.stop(rec)
}
