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

// tracingHooks besides the delivered ones.
func tracingHooks() []HookInfo {
	kprobe, tracing := []string{"kprobe"}, []string{"tracing"}
	return []HookInfo{
		{Name: "kprobe.multi", Programs: kprobe, Sections: []string{"kprobe.multi/PATTERN"}, Target: "kernel function pattern"},
		{Name: "kretprobe.multi", Programs: kprobe, Sections: []string{"kretprobe.multi/PATTERN"}, Target: "kernel function pattern"},
		{Name: "kprobe.session", Programs: kprobe, Sections: []string{"kprobe.session/PATTERN"}, Target: "kernel function pattern"},
		{Name: "ksyscall", Programs: kprobe, Sections: []string{"ksyscall/SYSCALL"}, Target: "system call"},
		{Name: "kretsyscall", Programs: kprobe, Sections: []string{"kretsyscall/SYSCALL"}, Target: "system call"},
		{Name: "uprobe", Programs: kprobe, Sections: []string{"uprobe/BINARY:SYMBOL", "uprobe.s/BINARY:SYMBOL"}, Target: targetBinary},
		{Name: "uretprobe", Programs: kprobe, Sections: []string{"uretprobe/BINARY:SYMBOL", "uretprobe.s/BINARY:SYMBOL"}, Target: targetBinary},
		{Name: "uprobe.multi", Programs: kprobe, Sections: []string{"uprobe.multi/BINARY:SYMBOL", "uprobe.multi.s/BINARY:SYMBOL"}, Target: targetBinary},
		{Name: "uretprobe.multi", Programs: kprobe, Sections: []string{"uretprobe.multi/BINARY:SYMBOL", "uretprobe.multi.s/BINARY:SYMBOL"}, Target: targetBinary},
		{Name: "uprobe.session", Programs: kprobe, Sections: []string{"uprobe.session/BINARY:SYMBOL", "uprobe.session.s/BINARY:SYMBOL"}, Target: targetBinary},
		{Name: "usdt", Programs: kprobe, Sections: []string{"usdt/BINARY:PROVIDER:NAME", "usdt.s/BINARY:PROVIDER:NAME"}, Target: "binary:provider:name"},
		{
			Name: "raw_tracepoint", Programs: []string{"raw_tracepoint", "raw_tracepoint_writable"}, Target: "tracepoint name",
			Sections: []string{"raw_tracepoint/NAME", "raw_tp/NAME", "raw_tracepoint.w/NAME", "raw_tp.w/NAME"},
		},
		{Name: "tp_btf", Programs: tracing, Sections: []string{"tp_btf/NAME"}, Target: "tracepoint name"},
		{Name: "fentry", Programs: tracing, Sections: []string{"fentry/FUNCTION", "fentry.s/FUNCTION"}, Target: targetFunction},
		{Name: "fexit", Programs: tracing, Sections: []string{"fexit/FUNCTION", "fexit.s/FUNCTION"}, Target: targetFunction},
		{Name: "fsession", Programs: tracing, Sections: []string{"fsession/FUNCTION", "fsession.s/FUNCTION"}, Target: targetFunction},
		{Name: "fmod_ret", Programs: tracing, Sections: []string{"fmod_ret/FUNCTION", "fmod_ret.s/FUNCTION"}, Target: targetFunction},
		{Name: "iter", Programs: tracing, Sections: []string{"iter/KIND", "iter.s/KIND"}, Target: "what is iterated over"},
		{Name: "freplace", Programs: []string{"ext"}, Sections: []string{"freplace/FUNCTION"}, Target: "function of a loaded program"},
		{Name: "lsm", Programs: []string{"lsm"}, Sections: []string{"lsm/HOOK", "lsm.s/HOOK"}, Target: "LSM hook"},
		{Name: "perf_event", Programs: []string{"perf_event"}, Sections: []string{"perf_event"}, Target: "perf event"},
		{Name: "struct_ops", Programs: []string{"struct_ops"}, Sections: []string{"struct_ops", "struct_ops.s"}, Target: "struct_ops map"},
		{Name: "syscall", Programs: []string{"syscall"}, Sections: []string{"syscall"}},
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
