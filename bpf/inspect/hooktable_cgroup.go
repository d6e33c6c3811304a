// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// cgroupHooks are attached to a control group; which of its events the section's
// second part says is in the program's attach type. Links to control groups: Linux
// 5.7.
func cgroupHooks() []HookInfo {
	return []HookInfo{
		{
			Name: "cgroup_skb", Since: "5.7", Programs: []string{"cgroup_skb"}, Delivered: true, Target: targetCgroup,
			Sections: []string{"cgroup_skb", "cgroup/skb"},
			Options: cgroupOrder(OptionInfo{
				Name: optionDirection, Values: []string{"ingress", "egress"},
				Help: "required unless the section says it",
			}),
		},
		{Name: "cgroup_sock", Since: "5.7", Programs: []string{"cgroup_sock"}, Sections: []string{"cgroup/"}, Delivered: true, Target: targetCgroup, Options: cgroupOrder()},
		{Name: "cgroup_sock_addr", Since: "5.7", Programs: []string{"cgroup_sock_addr"}, Sections: []string{"cgroup/"}, Delivered: true, Target: targetCgroup, Options: cgroupOrder()},
		{Name: "cgroup_sockopt", Since: "5.7", Programs: []string{"cgroup_sockopt"}, Sections: []string{"cgroup/"}, Delivered: true, Target: targetCgroup, Options: cgroupOrder()},
		{Name: "cgroup_sysctl", Since: "5.7", Programs: []string{"cgroup_sysctl"}, Sections: []string{"cgroup/sysctl"}, Delivered: true, Target: targetCgroup, Options: cgroupOrder()},
		{Name: "cgroup_device", Since: "5.7", Programs: []string{"cgroup_device"}, Sections: []string{"cgroup/dev"}, Delivered: true, Target: targetCgroup, Options: cgroupOrder()},
		{Name: "sockops", Since: "5.7", Programs: []string{"sock_ops"}, Sections: []string{"sockops"}, Delivered: true, Target: targetCgroup, Options: cgroupOrder()},
		{
			// Not delivered: cilium/ebpf v0.22 finds the LSM hook of programs of attach
			// type lsm_mac only, and loads none of lsm_cgroup.
			Name: "lsm_cgroup", Since: "6.0", Programs: []string{"lsm"}, Sections: []string{"lsm_cgroup/HOOK"}, Target: targetCgroup,
			Options: []OptionInfo{{Name: OptionLSM, Help: "LSM hook, such as socket_bind; required unless the section says it"}},
		},
	}
}
