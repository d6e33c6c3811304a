// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// Targets of tracing hooks.
const (
	targetEvent  = "tracepoint name"
	targetUprobe = "BINARY:SYMBOL, BINARY:SYMBOL+OFFSET or BINARY:0xOFFSET in the file, BINARY an absolute path or the bare name of a program or library"

	targetKprobe  = "kernel function, or FUNCTION+OFFSET"
	targetSyscall = "system call"
	// Patterns are libbpf's: a star for any characters, a question mark for one.
	targetKernelPattern = "kernel functions by a pattern with * and ?"
	targetBinaryPattern = "BINARY:PATTERN, functions by a pattern with * and ?"
	targetUSDT          = "BINARY:PROVIDER:NAME"
)

// tracingHooks are those on events of the kernel and of programs.
func tracingHooks() []HookInfo {
	kprobe, tracing := []string{"kprobe"}, []string{"tracing"}
	user := []OptionInfo{
		{Name: "pid", Help: "number of the only process to probe; when not given, all that run the binary"},
		{Name: OptionMntns, Help: "pid:NUMBER of a process, perhaps in a container, as which to look for BINARY; when not given, as bpfimg"},
	}
	return []HookInfo{
		{
			Name: "kprobe", Programs: kprobe, Delivered: true, Target: targetKprobe,
			Sections: []string{"kprobe/FUNCTION"},
		},
		{
			Name: "kretprobe", Programs: kprobe, Delivered: true, Target: targetFunction,
			Sections: []string{"kretprobe/FUNCTION"},
		},
		{
			Name: "tracepoint", Programs: []string{"tracepoint"}, Delivered: true, Target: targetTracepoint,
			Sections: []string{"tracepoint/GROUP/NAME", "tp/GROUP/NAME"},
		},
		{
			Name: "raw_tracepoint", Programs: []string{"raw_tracepoint", "raw_tracepoint_writable"}, Delivered: true, Target: targetEvent,
			Sections: []string{"raw_tracepoint/NAME", "raw_tp/NAME", "raw_tracepoint.w/NAME", "raw_tp.w/NAME"},
		},
		{
			Name: "tp_btf", Since: "5.5", Programs: tracing, Delivered: true, Target: targetEvent,
			Sections: []string{"tp_btf/NAME"},
		},
		{
			Name: "fentry", Since: "5.5", Programs: tracing, Delivered: true, Target: targetFunction,
			Sections: []string{"fentry/FUNCTION", "fentry.s/FUNCTION"},
		},
		{
			Name: "fexit", Since: "5.5", Programs: tracing, Delivered: true, Target: targetFunction,
			Sections: []string{"fexit/FUNCTION", "fexit.s/FUNCTION"},
		},
		{
			Name: "fmod_ret", Since: "5.7", Programs: tracing, Delivered: true, Target: targetFunction,
			Sections: []string{"fmod_ret/FUNCTION", "fmod_ret.s/FUNCTION"},
		},
		{
			Name: "lsm", Since: "5.7", Programs: []string{"lsm"}, Delivered: true, Target: "LSM hook",
			Sections: []string{"lsm/HOOK", "lsm.s/HOOK"},
		},
		{
			Name: "uprobe", Programs: kprobe, Delivered: true, Target: targetUprobe, Options: user,
			Sections: []string{"uprobe/BINARY:SYMBOL", "uprobe.s/BINARY:SYMBOL"},
		},
		{
			Name: "uretprobe", Programs: kprobe, Delivered: true, Target: targetUprobe, Options: user,
			Sections: []string{"uretprobe/BINARY:SYMBOL", "uretprobe.s/BINARY:SYMBOL"},
		},
		{
			Name: "kprobe.multi", Since: "5.18", Programs: kprobe, Delivered: true, Target: targetKernelPattern,
			Sections: []string{"kprobe.multi/PATTERN"},
		},
		{
			Name: "kretprobe.multi", Since: "5.18", Programs: kprobe, Delivered: true, Target: targetKernelPattern,
			Sections: []string{"kretprobe.multi/PATTERN"},
		},
		{
			Name: "kprobe.session", Since: "6.10", Programs: kprobe, Delivered: true, Target: targetKernelPattern,
			Sections: []string{"kprobe.session/PATTERN"},
		},
		{
			Name: "ksyscall", Programs: kprobe, Delivered: true, Target: targetSyscall,
			Sections: []string{"ksyscall/SYSCALL"},
		},
		{
			Name: "kretsyscall", Programs: kprobe, Delivered: true, Target: targetSyscall,
			Sections: []string{"kretsyscall/SYSCALL"},
		},
		{
			Name: "uprobe.multi", Since: "6.6", Programs: kprobe, Delivered: true, Target: targetBinaryPattern, Options: user,
			Sections: []string{"uprobe.multi/BINARY:PATTERN", "uprobe.multi.s/BINARY:PATTERN"},
		},
		{
			Name: "uretprobe.multi", Since: "6.6", Programs: kprobe, Delivered: true, Target: targetBinaryPattern, Options: user,
			Sections: []string{"uretprobe.multi/BINARY:PATTERN", "uretprobe.multi.s/BINARY:PATTERN"},
		},
		{
			Name: "uprobe.session", Since: "6.13", Programs: kprobe, Delivered: true, Target: targetBinaryPattern, Options: user,
			Sections: []string{"uprobe.session/BINARY:PATTERN", "uprobe.session.s/BINARY:PATTERN"},
		},
		{
			Name: "usdt", Programs: kprobe, Delivered: true, Target: targetUSDT, Options: user,
			Sections: []string{"usdt/BINARY:PROVIDER:NAME", "usdt.s/BINARY:PROVIDER:NAME"},
		},
		{Name: "fsession", Programs: tracing, Sections: []string{"fsession/FUNCTION", "fsession.s/FUNCTION"}, Target: targetFunction},
		{
			Name: "iter", Since: "5.8", Programs: tracing, Delivered: true,
			Sections: []string{"iter/KIND", "iter.s/KIND"}, Target: "what is iterated over",
			Options: []OptionInfo{
				{Name: "map", Help: "map of the same image, which bpf_map_elem, bpf_sk_storage_map and sockmap need"},
				{Name: "pid", Help: "number of the only process, for task, task_file and task_vma (Linux 6.1); when not given, all"},
				{Name: "tid", Help: "number of the only thread, likewise"},
				{Name: "cgroup", Help: "path of the cgroup to start at, for cgroup; when not given, the root"},
				{
					Name: "order", Values: []string{"self", "descendants-pre", "descendants-post", "ancestors"},
					Help: "which cgroups, and which first; when not given, descendants-pre",
				},
			},
		},
		{
			Name: "perf_event", Programs: []string{"perf_event"}, Delivered: true,
			Sections: []string{"perf_event"}, Target: "event by its name in perf list, or rHEX",
			Options: []OptionInfo{
				{Name: "frequency", Help: "runs a second; 99 when neither this nor period is given, and every event is not one of its own"},
				{Name: "period", Help: "run once in so many events; 1 when neither is given, for faults, switches and migrations"},
				{Name: "cpu", Help: "all, or CPUs such as 0-3+5; one link each", Default: "all"},
				{Name: "pid", Help: "number of the only process to watch: its threads and those it starts; one link for each thread"},
			},
		},
	}
}
