// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestUpdatePlace is about where a program goes: what is asked for now, what was
// asked for then, what the new image says, in this order.
func TestUpdatePlace(t *testing.T) {
	tcx := map[string]string{"direction": "ingress", "via": "tcx"}
	for _, tc := range []struct {
		name   string
		image  schemas.Program
		old    *schemas.InstanceLink
		loaded bool
		asked  string
		want   string
		chosen bool
	}{
		{name: "new program", image: schemas.Program{Type: "xdp", Hook: "xdp"}, want: "run"},
		{name: "new program, asked", image: schemas.Program{Type: "xdp", Hook: "xdp"}, asked: "xdp:eth1", want: "xdp:eth1", chosen: true},
		{name: "not attached", image: schemas.Program{Type: "xdp", Hook: "xdp"}, loaded: true, want: "none"},
		{
			name: "asked then", image: schemas.Program{Type: "sched_cls", Hook: "tc", Target: "eth9", Options: map[string]string{"direction": "egress"}},
			old: &schemas.InstanceLink{Hook: "tc", Target: "eth0", Options: tcx, Asked: true}, want: "tc:eth0,direction=ingress,via=tcx", chosen: true,
		},
		{
			name: "image then, elsewhere now", image: schemas.Program{Type: "kprobe", Hook: "kprobe", Target: "do_new"},
			old: &schemas.InstanceLink{Hook: "kprobe", Target: "do_old"}, want: "kprobe:do_new",
		},
		{
			name: "image then, the same now", image: schemas.Program{Type: "sched_cls", Hook: "tc", Target: "eth0", Options: map[string]string{"direction": "ingress"}},
			old: &schemas.InstanceLink{Hook: "tc", Target: "eth0", Options: tcx}, want: "tc:eth0,direction=ingress,via=tcx",
		},
		{
			name: "image then, other options now", image: schemas.Program{Type: "sched_cls", Hook: "tc", Target: "eth0", Options: map[string]string{"direction": "egress"}},
			old: &schemas.InstanceLink{Hook: "tc", Target: "eth0", Options: tcx}, want: "tc:eth0,direction=egress",
		},
		{
			name: "image says nothing", image: schemas.Program{Type: "xdp"},
			old: &schemas.InstanceLink{Hook: "xdp", Target: "eth0", Options: map[string]string{"mode": "native"}}, want: "xdp:eth0,mode=native",
		},
		{
			name: "asked now, the same as then", image: schemas.Program{Type: "sched_cls", Hook: "tc"}, asked: "tc:eth0,direction=ingress",
			old: &schemas.InstanceLink{Hook: "tc", Target: "eth0", Options: tcx, Asked: true}, want: "tc:eth0,direction=ingress,via=tcx", chosen: true,
		},
		{
			name: "asked now, other options", image: schemas.Program{Type: "sched_cls", Hook: "tc", Options: map[string]string{"direction": "ingress"}},
			asked: "tc:eth0,priority=4", old: &schemas.InstanceLink{Hook: "tc", Target: "eth0", Options: tcx, Asked: true},
			want: "tc:eth0,direction=ingress,priority=4", chosen: true,
		},
		{
			name: "another kind of program", image: schemas.Program{Type: "xdp", Hook: "xdp", Target: "eth3"},
			old: &schemas.InstanceLink{Hook: "tc", Target: "eth0", Options: tcx, Asked: true}, want: "run",
		},
	} {
		tc.image.Name = "p"
		rec := &schemas.Instance{Name: "i"}
		if tc.old != nil {
			tc.old.Program = "p"
			rec.Links = []schemas.InstanceLink{*tc.old}
		}
		if tc.old != nil || tc.loaded {
			rec.Programs = []schemas.InstanceProgram{{Name: "p"}}
		}
		var asked *schemas.Attachment
		if tc.asked != "" {
			asked = &attachments(t, "p="+tc.asked)[0]
		}
		got, ok := updatePlace(tc.image, asked, rec)
		got.Program = ""
		text := got.String()
		if !ok {
			text = "run"
		}
		if text != tc.want || (ok && got.asked != tc.chosen) {
			t.Errorf("%s: %s (asked: %v), want %s (asked: %v)", tc.name, text, got.asked, tc.want, tc.chosen)
		}
	}
}
