// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// TestCalls: what is called by a number has no name, whatever symbol stands beside
// it: the kernel goes by the number, and a policy by the name.
func TestCalls(t *testing.T) {
	call := func(src asm.Register, constant int64, reference string) asm.Instruction {
		ins := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: src, Constant: constant}
		if reference != "" {
			ins = ins.WithReference(reference)
		}
		return ins
	}
	helpers, kfuncs := calls(asm.Instructions{
		call(asm.R0, 36, ""),
		call(asm.R0, 9999, ""),
		call(asm.R0, -5, ""),
		call(asm.PseudoKfuncCall, -1, "bpf_named"),
		call(asm.PseudoKfuncCall, 1234, ""),
		call(asm.PseudoKfuncCall, 1235, "bpf_harmless"),
		call(asm.PseudoCall, -1, "subprogram"),
	})
	if want := []string{"bpf_probe_write_user", "unknown#-5", "unknown#9999"}; !slices.Equal(helpers, want) {
		t.Errorf("helpers %q, want %q", helpers, want)
	}
	if want := []string{"bpf_named", "unknown#1234", "unknown#1235"}; !slices.Equal(kfuncs, want) {
		t.Errorf("kfuncs %q, want %q", kfuncs, want)
	}
	for _, name := range HelperNames() {
		if !strings.HasPrefix(name, "bpf_") || name == "bpf_unspec" {
			t.Errorf("helper %q", name)
		}
	}
	if types := ProgramTypes(); slices.Contains(types, "unspec") || !slices.Contains(types, "netfilter") {
		t.Errorf("types %q", types)
	}
}
