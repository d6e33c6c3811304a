// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import "github.com/bpfimg/bpfimg/schemas"

// hookXDP is the hook whose programs have an order that their source can say.
const hookXDP = "xdp"

// networkHooks are those on network devices and on what packets pass.
func networkHooks() []HookInfo {
	return []HookInfo{
		{
			Name: hookXDP, Since: "5.9", Programs: []string{"xdp"}, Delivered: true, Target: targetInterface,
			Sections: []string{"xdp", "xdp.frags"},
			Options:  xdpOptions(),
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
				netnsOption(),
			},
		},
		// Entries of maps, not to be attached to an interface.
		{Name: "xdp_devmap", Programs: []string{"xdp"}, Sections: []string{"xdp/devmap", "xdp.frags/devmap"}, Target: targetMap},
		{Name: "xdp_cpumap", Programs: []string{"xdp"}, Sections: []string{"xdp/cpumap", "xdp.frags/cpumap"}, Target: targetMap},
		{
			Name: "netkit", Since: "6.7", Programs: []string{"sched_cls"}, Delivered: true, Target: "primary end of a netkit pair",
			Sections: []string{"netkit/primary", "netkit/peer"},
			Options: []OptionInfo{
				{
					Name: optionDirection, Values: []string{"primary", "peer"},
					Help: "the end whose outgoing packets the program sees; required unless the section says it",
				},
				netnsOption(),
			},
		},
		{
			Name: "action", Programs: []string{"sched_act"}, Sections: []string{"action"}, Delivered: true, Target: targetInterface,
			Options: append(filterOptions(), netnsOption()),
		},
		{
			Name: "lwt", Programs: []string{"lwt_xmit", "lwt_in", "lwt_out", "lwt_seg6local"}, Delivered: true, Target: "prefix of a route",
			Sections: []string{"lwt_xmit", "lwt_in", "lwt_out", "lwt_seg6local"},
			Options:  lwtOptions(),
		},
		{
			Name: "flow_dissector", Since: "5.8", Programs: []string{"flow_dissector"}, Delivered: true,
			Sections: []string{"flow_dissector"}, Options: []OptionInfo{netnsOption()},
		},
		{
			Name: "netfilter", Since: "6.4", Programs: []string{"netfilter"}, Delivered: true,
			Sections: []string{"netfilter"}, Options: netfilterOptions(),
		},
		{Name: "lirc_mode2", Programs: []string{"lirc_mode2"}, Sections: []string{"lirc_mode2"}, Target: "infrared device"},
	}
}

// xdpOptions are those of an XDP program.
func xdpOptions() []OptionInfo {
	return []OptionInfo{
		{
			Name: "mode", Values: []string{"native", "generic", "offload"},
			Help: "by the driver, by the network stack, or by the device itself; when not given, that of the programs which are there, else native where the driver can and else generic",
		},
		{
			Name: "via", Values: []string{"dispatcher", "link"},
			Help: "share the interface with other programs, or have it alone; when not given, a dispatcher where kernel and program allow it and else a link",
		},
		{Name: OptionPriority, Help: "0 to 4294967295, lower runs earlier; when not given, what the object's .xdp_run_config says, and else 50"},
		{
			Name: schemas.OptionProceedOn,
			Help: "results after which the next program runs, of aborted, drop, pass, tx and redirect, or never; when not given, what the object's .xdp_run_config says, and else pass",
		},
		{
			Name: "replace", Values: []string{"true", "false"}, Default: "false",
			Help: "put a program of others that is there without a dispatcher away",
		},
		netnsOption(),
	}
}

// filterOptions are those of a filter of the clsact qdisc.
func filterOptions() []OptionInfo {
	return []OptionInfo{
		{Name: optionDirection, Values: []string{"ingress", "egress"}, Help: "required"},
		{Name: "priority", Help: "1 to 65535, lower runs first; when not given, the kernel chooses"},
		{Name: "handle", Help: "filter handle; when not given, the kernel chooses"},
	}
}

// lwtOptions are those of a route.
func lwtOptions() []OptionInfo {
	return []OptionInfo{
		{Name: "dev", Help: "interface the route goes out of; required"},
		{
			Name: optionDirection, Values: []string{"in", "out", "xmit", "seg6local"},
			Help: "where on the route's way the program runs; required unless the section says it",
		},
		{Name: "via", Help: "address of the gateway; when not given, the prefix is on the link"},
		{Name: "table", Help: "number of the routing table", Default: "254"},
		{Name: "metric", Help: "metric of the route; when not given, 0 for IPv4 and 1024 for IPv6"},
		{Name: "headroom", Help: "bytes to reserve for headers the program adds, 0 to 256; direction=xmit only"},
		netnsOption(),
	}
}

func netfilterOptions() []OptionInfo {
	return []OptionInfo{
		{Name: "family", Values: []string{"ipv4", "ipv6"}, Help: "required"},
		{Name: "hook", Values: []string{"prerouting", "input", "forward", "output", "postrouting"}, Help: "required"},
		{Name: "priority", Help: "-2147483647 to 2147483646, lower runs first; one BPF program has it; required"},
		{Name: "defrag", Values: []string{"true", "false"}, Help: "put fragments together first (Linux 6.6); then the priority is above -400", Default: "false"},
		netnsOption(),
	}
}
