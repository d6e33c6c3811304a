// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"slices"
	"testing"
)

// TestPlan is about which place wins for a program.
func TestPlan(t *testing.T) {
	tests := map[string]struct {
		files []string
		opts  RunOptions
		at    []string
		want  []string // attachments with options, in order
	}{
		"section":          {files: []string{objExec}, want: []string{"count_exec=tracepoint:sched/sched_process_exec"}},
		"iface":            {files: []string{objCounter}, opts: RunOptions{Iface: "eth0"}, want: []string{"xdp_count=xdp:eth0"}},
		"attach":           {files: []string{objCounter}, at: []string{"xdp_count=xdp:eth1,mode=generic"}, want: []string{"xdp_count=xdp:eth1,mode=generic"}},
		"attach beats all": {files: []string{objExec}, at: []string{"count_exec=tracepoint:sched/sched_switch"}, want: []string{"count_exec=tracepoint:sched/sched_switch"}},
		"target from section": {
			files: []string{objUnlink}, at: []string{"count_unlink=kprobe", "time_unlink=none"},
			want: []string{"count_unlink=kprobe:vfs_unlink"},
		},
		"direction from section": {
			files: []string{objTC}, at: []string{"tc_ingress=tc:eth0", "tc_egress=tc:eth1,priority=7"},
			want: []string{"tc_egress=tc:eth1,direction=egress,priority=7", "tc_ingress=tc:eth0,direction=ingress"},
		},
		"iface for the one left": {
			files: []string{objTC}, at: []string{"tc_egress=none"}, opts: RunOptions{Iface: "eth0"},
			want: []string{"tc_ingress=tc:eth0,direction=ingress"},
		},
		"several objects in load order": {
			files: []string{objExec, objCounter}, opts: RunOptions{Iface: "eth0"},
			want: []string{"count_exec=tracepoint:sched/sched_process_exec", "xdp_count=xdp:eth0"},
		},
		"type from the hook": {
			files: []string{objUnknown}, at: []string{"lost=xdp:eth0"}, want: []string{"lost=xdp:eth0"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.opts.Attach = attachments(t, tc.at...)
			p, err := newPlan(verified(t, "x", tc.files...), tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, pl := range p.placements {
				a := attachments(t, pl.String())[0]
				a.Options = pl.link.Options
				got = append(got, a.String())
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	tests := map[string]struct {
		files []string
		opts  RunOptions
		at    []string
		usage bool
		words []string
	}{
		"no target":            {files: []string{objCounter}, usage: true, words: []string{"--attach xdp_count=xdp:INTERFACE"}},
		"unknown program":      {files: []string{objCounter}, at: []string{"xdp_cout=xdp:eth0"}, usage: true, words: []string{`"xdp_cout"`, `it has "xdp_count"`}},
		"unknown hook":         {files: []string{objCounter}, at: []string{"xdp_count=xpd:eth0"}, usage: true, words: []string{`no hook "xpd"`, "xdp, tc, netkit, action, lwt"}},
		"known but later hook": {files: []string{objExec}, at: []string{"count_exec=lirc_mode2:x"}, usage: true, words: []string{"does not attach", "lirc_mode2"}},
		"unknown option":       {files: []string{objCounter}, at: []string{"xdp_count=xdp:eth0,mod=native"}, usage: true, words: []string{`no option "mod"`, "it has mode"}},
		"option of none":       {files: []string{objExec}, at: []string{"count_exec=tracepoint:a/b,x=y"}, usage: true, words: []string{"takes none"}},
		"wrong value":          {files: []string{objCounter}, at: []string{"xdp_count=xdp:eth0,mode=fast"}, usage: true, words: []string{`"fast"`, "native, generic"}},
		"twice":                {files: []string{objCounter}, at: []string{"xdp_count=xdp:eth0", "xdp_count=xdp:eth1"}, usage: true, words: []string{"two places"}},
		"none with target":     {files: []string{objCounter}, at: []string{"xdp_count=none:eth0"}, usage: true, words: []string{"none takes no target"}},
		"none with options":    {files: []string{objCounter}, at: []string{"xdp_count=none,mode=native"}, usage: true, words: []string{"none takes no target"}},
		"type of another hook": {files: []string{objCounter}, at: []string{"xdp_count=tc:eth0,direction=ingress"}, usage: true, words: []string{"of type xdp", "sched_cls"}},
		"iface for two":        {files: []string{objTC}, opts: RunOptions{Iface: "eth0"}, usage: true, words: []string{`"tc_egress", "tc_ingress"`, "--attach for each"}},
		"iface for nobody":     {files: []string{objExec}, opts: RunOptions{Iface: "eth0"}, usage: true, words: []string{"no program here"}},
		"unknown section":      {files: []string{objUnknown}, usage: true, words: []string{`program "lost"`, "nosuchhook/thing", "NAME=HOOK:TARGET", "NAME=none"}},
		"big endian":           {files: []string{objBig}, opts: RunOptions{Iface: "eth0"}, words: []string{"counter_eb.bpf.o", "is big-endian", "little-endian"}},
		"same program twice":   {files: []string{objCounter, objCounter}, opts: RunOptions{Iface: "eth0"}, words: []string{"both have a program"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.opts.Attach = attachments(t, tc.at...)
			_, err := newPlan(verified(t, "x", tc.files...), tc.opts)
			var target error
			if tc.usage {
				target = ErrUsage
			}
			wantError(t, err, target, tc.words...)
		})
	}
}

func TestHooksAreDelivered(t *testing.T) {
	for name := range implementations() {
		if _, info, err := findHook(name); err != nil || !info.Delivered {
			t.Errorf("hook %q has no delivered row in the hook table (%v)", name, err)
		}
	}
}
