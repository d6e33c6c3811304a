// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// networkHooks are those on network devices and on what packets pass.
func networkHooks() []HookInfo {
	return []HookInfo{
		{
			Name: "xdp", Since: "5.9", Programs: []string{"xdp"}, Delivered: true, Target: targetInterface,
			Sections: []string{"xdp", "xdp.frags"},
			Options: []OptionInfo{
				{
					Name: "mode", Values: []string{"native", "generic"},
					Help: "by the driver, or by the network stack; when not given, native where the driver can and else generic",
				},
				netnsOption(),
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
				netnsOption(),
			},
		},
		// Entries of maps, not to be attached to an interface.
		{Name: "xdp_devmap", Programs: []string{"xdp"}, Sections: []string{"xdp/devmap", "xdp.frags/devmap"}, Target: targetMap},
		{Name: "xdp_cpumap", Programs: []string{"xdp"}, Sections: []string{"xdp/cpumap", "xdp.frags/cpumap"}, Target: targetMap},
		{Name: "netkit", Since: "6.7", Programs: []string{"sched_cls"}, Sections: []string{"netkit/primary", "netkit/peer"}, Target: targetInterface},
		{Name: "action", Programs: []string{"sched_act"}, Sections: []string{"action"}, Target: targetInterface},
		{Name: "lwt_in", Programs: []string{"lwt_in"}, Sections: []string{"lwt_in"}, Target: "route"},
		{Name: "lwt_out", Programs: []string{"lwt_out"}, Sections: []string{"lwt_out"}, Target: "route"},
		{Name: "lwt_xmit", Programs: []string{"lwt_xmit"}, Sections: []string{"lwt_xmit"}, Target: "route"},
		{Name: "lwt_seg6local", Programs: []string{"lwt_seg6local"}, Sections: []string{"lwt_seg6local"}, Target: "route"},
		{Name: "flow_dissector", Since: "5.8", Programs: []string{"flow_dissector"}, Sections: []string{"flow_dissector"}, Target: "network namespace"},
		{Name: "netfilter", Since: "6.4", Programs: []string{"netfilter"}, Sections: []string{"netfilter"}},
		{Name: "lirc_mode2", Programs: []string{"lirc_mode2"}, Sections: []string{"lirc_mode2"}, Target: "infrared device"},
	}
}
