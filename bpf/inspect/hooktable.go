// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// The section names are those of libbpf's section_defs (libbpf.c).

// Words for targets that several hooks share.
const (
	targetInterface  = "network interface"
	targetFunction   = "kernel function"
	targetBinary     = "binary:symbol"
	targetTracepoint = "group/name"
	targetCgroup     = "cgroup path"
	targetMap        = "map of the same image"
)

// deliveredHooks are the ones package bpf attaches to.
func deliveredHooks() []HookInfo {
	return []HookInfo{
		{
			Name: "xdp", Programs: []string{"xdp"}, Delivered: true, Target: targetInterface,
			Sections: []string{"xdp", "xdp.frags"},
			Options: []OptionInfo{
				{
					Name: "mode", Values: []string{"native", "generic"},
					Help: "by the driver, or by the network stack; when not given, native where the driver can and else generic",
				},
			},
		},
		{
			Name: "tc", Programs: []string{"sched_cls"}, Delivered: true, Target: targetInterface,
			Sections: []string{"tcx/ingress", "tcx/egress", "tc", "classifier"},
			Options: []OptionInfo{
				{
					Name: optionDirection, Values: []string{"ingress", "egress"},
					Help: "required unless the section says it",
				},
				{
					Name: "via", Values: []string{"tcx", "clsact"},
					Help: "what holds the program; when not given, tcx where the kernel has it (Linux 6.6) and else clsact",
				},
				{Name: "priority", Help: "1 to 65535, lower runs first; means via=clsact"},
				{Name: "handle", Help: "filter handle; means via=clsact"},
			},
		},
		{
			Name: "kprobe", Programs: []string{"kprobe"}, Delivered: true, Target: targetFunction,
			Sections: []string{"kprobe/FUNCTION"},
		},
		{
			Name: "kretprobe", Programs: []string{"kprobe"}, Delivered: true, Target: targetFunction,
			Sections: []string{"kretprobe/FUNCTION"},
		},
		{
			Name: "tracepoint", Programs: []string{"tracepoint"}, Delivered: true, Target: targetTracepoint,
			Sections: []string{"tracepoint/GROUP/NAME", "tp/GROUP/NAME"},
		},
	}
}

// networkHooks besides the delivered ones.
func networkHooks() []HookInfo {
	return []HookInfo{
		// Entries of maps, not to be attached to an interface.
		{Name: "xdp_devmap", Programs: []string{"xdp"}, Sections: []string{"xdp/devmap", "xdp.frags/devmap"}, Target: targetMap},
		{Name: "xdp_cpumap", Programs: []string{"xdp"}, Sections: []string{"xdp/cpumap", "xdp.frags/cpumap"}, Target: targetMap},
		{Name: "netkit", Programs: []string{"sched_cls"}, Sections: []string{"netkit/primary", "netkit/peer"}, Target: targetInterface},
		{Name: "action", Programs: []string{"sched_act"}, Sections: []string{"action"}, Target: targetInterface},
		{Name: "netfilter", Programs: []string{"netfilter"}, Sections: []string{"netfilter"}},
		{Name: "socket", Programs: []string{"socket_filter"}, Sections: []string{"socket"}, Target: "socket"},
		{Name: "sk_reuseport", Programs: []string{"sk_reuseport"}, Sections: []string{"sk_reuseport"}, Target: "socket"},
		{Name: "sk_lookup", Programs: []string{"sk_lookup"}, Sections: []string{"sk_lookup"}, Target: "network namespace"},
		{Name: "flow_dissector", Programs: []string{"flow_dissector"}, Sections: []string{"flow_dissector"}, Target: "network namespace"},
		{Name: "sk_skb", Programs: []string{"sk_skb"}, Sections: []string{"sk_skb"}, Target: targetMap},
		{Name: "sk_msg", Programs: []string{"sk_msg"}, Sections: []string{"sk_msg"}, Target: targetMap},
		{Name: "lwt_in", Programs: []string{"lwt_in"}, Sections: []string{"lwt_in"}, Target: "route"},
		{Name: "lwt_out", Programs: []string{"lwt_out"}, Sections: []string{"lwt_out"}, Target: "route"},
		{Name: "lwt_xmit", Programs: []string{"lwt_xmit"}, Sections: []string{"lwt_xmit"}, Target: "route"},
		{Name: "lwt_seg6local", Programs: []string{"lwt_seg6local"}, Sections: []string{"lwt_seg6local"}, Target: "route"},
		{Name: "lirc_mode2", Programs: []string{"lirc_mode2"}, Sections: []string{"lirc_mode2"}, Target: "infrared device"},
	}
}

// cgroupHooks are attached to a control group; which of its events the section's
// second part says is in the program's attach type.
func cgroupHooks() []HookInfo {
	return []HookInfo{
		{
			Name: "cgroup_skb", Programs: []string{"cgroup_skb"}, Delivered: true, Target: targetCgroup,
			Sections: []string{"cgroup_skb", "cgroup/skb"},
			Options: []OptionInfo{{
				Name: optionDirection, Values: []string{"ingress", "egress"},
				Help: "required unless the section says it",
			}},
		},
		{Name: "cgroup_sock", Programs: []string{"cgroup_sock"}, Sections: []string{"cgroup/"}, Delivered: true, Target: targetCgroup},
		{Name: "cgroup_sock_addr", Programs: []string{"cgroup_sock_addr"}, Sections: []string{"cgroup/"}, Delivered: true, Target: targetCgroup},
		{Name: "cgroup_sockopt", Programs: []string{"cgroup_sockopt"}, Sections: []string{"cgroup/"}, Delivered: true, Target: targetCgroup},
		{Name: "cgroup_sysctl", Programs: []string{"cgroup_sysctl"}, Sections: []string{"cgroup/sysctl"}, Delivered: true, Target: targetCgroup},
		{Name: "cgroup_device", Programs: []string{"cgroup_device"}, Sections: []string{"cgroup/dev"}, Delivered: true, Target: targetCgroup},
		{Name: "sockops", Programs: []string{"sock_ops"}, Sections: []string{"sockops"}, Delivered: true, Target: targetCgroup},
		{Name: "lsm_cgroup", Programs: []string{"lsm"}, Sections: []string{"lsm_cgroup/HOOK"}, Target: targetCgroup},
	}
}
