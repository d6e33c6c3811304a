// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import "github.com/cilium/ebpf"

// networkHooks are the hooks on network devices, by name.
func networkHooks() map[string]hook {
	return map[string]hook{
		"xdp":            xdpHook{},
		"tc":             tcHook{},
		"action":         actionHook{},
		"netkit":         netkitHook{},
		"lwt":            lwtHook{},
		"flow_dissector": flowDissectorHook{},
		"netfilter":      netfilterHook{},
	}
}

// tracingHooks are the hooks on events of the kernel and of programs, by name.
func tracingHooks() map[string]hook {
	return map[string]hook{
		"kprobe":     kprobeHook{},
		"kretprobe":  kprobeHook{ret: true},
		"tracepoint": tracepointHook{},

		"raw_tracepoint": rawTracepointHook{},
		"tp_btf":         tracingHook{at: ebpf.AttachTraceRawTp},
		"fentry":         tracingHook{at: ebpf.AttachTraceFEntry},
		"fexit":          tracingHook{at: ebpf.AttachTraceFExit},
		"fmod_ret":       tracingHook{at: ebpf.AttachModifyReturn},
		"lsm":            lsmHook{},
		"uprobe":         uprobeHook{},
		"uretprobe":      uprobeHook{ret: true},

		"perf_event":      perfEventHook{},
		"iter":            iterHook{},
		"kprobe.multi":    kprobeMultiHook{},
		"kretprobe.multi": kprobeMultiHook{ret: true},
		"kprobe.session":  kprobeMultiHook{session: true},
		"ksyscall":        ksyscallHook{},
		"kretsyscall":     ksyscallHook{kprobeHook{ret: true}},
		"uprobe.multi":    uprobeMultiHook{},
		"uretprobe.multi": uprobeMultiHook{ret: true},
		"uprobe.session":  uprobeMultiHook{session: true},
		"usdt":            usdtHook{},
	}
}

// socketHooks are the hooks on sockets, by name.
func socketHooks() map[string]hook {
	return map[string]hook{
		"socket":       socketHook{},
		"sk_reuseport": reuseportHook{},
		"sk_lookup":    lookupHook{},
		"sk_skb":       sockmapHook{program: ebpf.SkSKB},
		"sk_msg":       sockmapHook{program: ebpf.SkMsg},
	}
}

// otherHooks are those of no family, by name.
func otherHooks() map[string]hook {
	return map[string]hook{
		"freplace":    freplaceHook{},
		hookStructOps: structOpsHook{},
		"syscall":     syscallHook{},
	}
}
