// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
)

// bytecodeTypes says how the eBPF bytecode image specification spells a program
// by the beginning of its section, for kernel types that stand for several
// kinds. The first row that matches decides; bpfman has no other words than
// xdp, tc, tcx, tracepoint, kprobe, kretprobe, uprobe, uretprobe, fentry, fexit
// and lsm.
var bytecodeTypes = []struct{ kernel, section, word string }{
	{"sched_cls", "tcx/", "tcx"},
	{"sched_cls", "", "tc"},
	{"kprobe", "kretprobe", "kretprobe"},
	{"kprobe", "kretsyscall", "kretprobe"},
	{"kprobe", "uretprobe", "uretprobe"},
	{"kprobe", "uprobe", "uprobe"},
	{"kprobe", "usdt", "uprobe"},
	{"kprobe", "", "kprobe"},
	{"tracing", "fentry", "fentry"},
	{"tracing", "fexit", "fexit"},
}

// bytecodeType is the program's type for [schemas.LabelPrograms]. Types the
// specification has no word for keep the kernel's.
func bytecodeType(p schemas.Program) string {
	section := strings.TrimPrefix(p.Section, "?") // not loaded by default; same type
	for _, row := range bytecodeTypes {
		if p.Type == row.kernel && strings.HasPrefix(section, row.section) {
			return row.word
		}
	}
	return p.Type
}
