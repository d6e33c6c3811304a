// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestHookOf(t *testing.T) {
	ingress, egress := map[string]string{"direction": "ingress"}, map[string]string{"direction": "egress"}
	for _, tc := range []struct {
		progType, attachType, section string
		hook, target                  string
		options                       map[string]string
	}{
		{"xdp", "xdp", "xdp", "xdp", "", nil},
		{"xdp", "xdp", "xdp.frags", "xdp", "", nil},
		{"xdp", "xdp", "xdp_filter", "xdp", "", nil},
		{"xdp", "xdp", "?xdp", "xdp", "", nil},
		{"xdp", "xdp_devmap", "xdp/devmap", "xdp_devmap", "", nil},
		{"xdp", "xdp_cpumap", "xdp.frags/cpumap", "xdp_cpumap", "", nil},
		{"sched_cls", "tcx_ingress", "tcx/ingress", "tc", "", ingress},
		{"sched_cls", "tcx_egress", "tcx/egress", "tc", "", egress},
		{"sched_cls", "tcx_egress", "tc/egress", "tc", "", egress},
		{"sched_cls", "", "tc", "tc", "", nil},
		{"sched_cls", "", "classifier", "tc", "", nil},
		{"sched_cls", "", "classifier/ingress", "tc", "", ingress},
		{"sched_cls", "", "classifier/something", "tc", "", nil},
		{"sched_cls", "netkit_peer", "netkit/peer", "netkit", "", map[string]string{"direction": "peer"}},
		{"sched_cls", "netkit_primary", "netkit/primary", "netkit", "", map[string]string{"direction": "primary"}},
		{"lwt_in", "", "lwt_in", "lwt", "", map[string]string{"direction": "in"}},
		{"lwt_out", "", "lwt_out", "lwt", "", map[string]string{"direction": "out"}},
		{"lwt_xmit", "", "lwt_xmit/encap", "lwt", "", map[string]string{"direction": "xmit"}},
		{"lwt_seg6local", "", "lwt_seg6local", "lwt", "", map[string]string{"direction": "seg6local"}},
		{"netfilter", "netfilter", "netfilter", "netfilter", "", nil},
		{"flow_dissector", "flow_dissector", "flow_dissector", "flow_dissector", "", nil},
		{"sched_act", "", "action", "action", "", nil},
		{"kprobe", "", "kprobe/vfs_unlink", "kprobe", "vfs_unlink", nil},
		{"kprobe", "", "kprobe", "kprobe", "", nil},
		{"kprobe", "", "kretprobe/vfs_unlink", "kretprobe", "vfs_unlink", nil},
		{"kprobe", "trace_kprobe_multi", "kprobe.multi/tcp_*", "kprobe.multi", "tcp_*", nil},
		{"kprobe", "", "uprobe.s//bin/bash:readline", "uprobe", "/bin/bash:readline", nil},
		{"tracepoint", "", "tp/sched/sched_process_exec", "tracepoint", "sched/sched_process_exec", nil},
		{"tracepoint", "", "tracepoint/kmem/mm_page_alloc", "tracepoint", "kmem/mm_page_alloc", nil},
		{"raw_tracepoint", "", "raw_tp/sched_switch", "raw_tracepoint", "sched_switch", nil},
		{"tracing", "trace_fentry", "fentry.s/tcp_connect", "fentry", "tcp_connect", nil},
		{"tracing", "trace_iter", "iter/task", "iter", "task", nil},
		{"lsm", "lsm_mac", "lsm/file_open", "lsm", "file_open", nil},
		{"lsm", "lsm_cgroup", "lsm_cgroup/socket_bind", "lsm_cgroup", "", map[string]string{"lsm": "socket_bind"}},
		{"cgroup_skb", "cgroup_inet_ingress", "cgroup_skb/ingress", "cgroup_skb", "", ingress},
		{"cgroup_sock_addr", "cgroup_inet4_connect", "cgroup/connect4", "cgroup_sock_addr", "", nil},
		{"unspec", "", "nosuchhook/thing", "", "", nil},
		// A section lies about a type only in hands that made both up.
		{"xdp", "xdp", "kprobe/x", "", "", nil},
	} {
		hook, target, options := HookOf(tc.progType, tc.attachType, tc.section)
		if hook != tc.hook || target != tc.target || !maps.Equal(options, tc.options) {
			t.Errorf("HookOf(%q, %q, %q) = %q, %q, %v; want %q, %q, %v",
				tc.progType, tc.attachType, tc.section, hook, target, options, tc.hook, tc.target, tc.options)
		}
	}
}

func TestHooks(t *testing.T) {
	var delivered []string
	seen := map[string]bool{}
	for _, h := range Hooks() {
		if h.Delivered {
			delivered = append(delivered, h.Name)
		}
		if seen[h.Name] || h.Name == "" || strings.ContainsAny(h.Name, ":,= ") {
			t.Errorf("hook %q is listed twice, or its name cannot stand in --attach", h.Name)
		}
		seen[h.Name] = true
		for _, p := range h.Programs {
			if !slices.Contains(programTypes, p) {
				t.Errorf("hook %s: no program type %q", h.Name, p)
			}
		}
		for _, s := range h.Sections {
			if got, _, _ := HookOf(h.Programs[0], "", s); got != h.Name {
				t.Errorf("hook %s: section %q means %q", h.Name, s, got)
			}
		}
	}
	if len(delivered) < 20 {
		t.Errorf("delivered hooks are %v", delivered)
	}
}
