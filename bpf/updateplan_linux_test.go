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

// TestSamePlace: an attachment stays when the hook finds the same place again, and
// the record says so in all of its words.
func TestSamePlace(t *testing.T) {
	was := schemas.InstanceLink{Via: viaLink, Target: "eth0", Map: "socks", Ifindex: 4, Netns: 9}
	for name, change := range map[string]func(*schemas.InstanceLink){
		"same":      nil,
		"via":       func(l *schemas.InstanceLink) { l.Via = viaNetlink },
		"target":    func(l *schemas.InstanceLink) { l.Target = "eth1" },
		"map":       func(l *schemas.InstanceLink) { l.Map = "other" },
		"interface": func(l *schemas.InstanceLink) { l.Ifindex = 5 }, // of the same name, made anew
		"namespace": func(l *schemas.InstanceLink) { l.Netns = 10 },
	} {
		now := was
		if change != nil {
			change(&now)
		}
		if got := samePlace(was, now); got != (change == nil) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestUpdateCandidate is about the old attachment in which a program may be
// exchanged.
func TestUpdateCandidate(t *testing.T) {
	one := schemas.InstanceLink{Program: "p", Hook: "tc", Target: "eth0", Options: map[string]string{"direction": "ingress", schemas.OptionProceedOn: "ok"}}
	with := func(change func(*schemas.InstanceLink)) []schemas.InstanceLink {
		l := one
		change(&l)
		return []schemas.InstanceLink{l}
	}
	for _, tt := range []struct {
		name string
		old  []schemas.InstanceLink
		want bool
	}{
		{"same", []schemas.InstanceLink{one}, true},
		{"none", nil, false},
		{"of another program", with(func(l *schemas.InstanceLink) { l.Program = "q" }), false},
		{"at another hook", with(func(l *schemas.InstanceLink) { l.Hook, l.Options = "tcx", map[string]string{"direction": "ingress"} }), false},
		{"of another target", with(func(l *schemas.InstanceLink) { l.Target = "eth1" }), false},
		{"other options", with(func(l *schemas.InstanceLink) { l.Options = map[string]string{"direction": "egress"} }), false},
		{"proceed-on is of the program", with(func(l *schemas.InstanceLink) { l.Options = map[string]string{"direction": "ingress"} }), true},
		{"several links in one", with(func(l *schemas.InstanceLink) { l.More = []schemas.InstanceLinkPart{{ID: 1}} }), false},
		{"two attachments", []schemas.InstanceLink{one, one}, false},
	} {
		u := &updating{old: &schemas.Instance{Links: tt.old, Programs: []schemas.InstanceProgram{{Name: "p"}, {Name: "q"}}}}
		if got := u.candidate(&placement{link: one}); (got != nil) != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
		u.old.Programs = nil
		if got := u.candidate(&placement{link: one}); got != nil {
			t.Errorf("%s, without the program: %+v", tt.name, got)
		}
	}
}
