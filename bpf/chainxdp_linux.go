// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"cmp"
	"slices"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

// xdpModes are the modes of XDP in the order in which a packet meets them: in the
// device, in its driver, and in the network stack.
var xdpModes = [...]struct{ mode, stage string }{
	{dispatcher.ModeOffload, StageXDPOffload},
	{dispatcher.ModeNative, StageXDPNative},
	{dispatcher.ModeGeneric, StageXDPGeneric},
}

// xdpStages are the stages of what is in the slot for XDP: one program, or a
// dispatcher, each mode.
func xdpStages(state dispatcher.State) []ChainStage {
	var out []ChainStage
	for _, m := range xdpModes {
		stage := ChainStage{Stage: m.stage}
		if c := state.Chain; c != nil && c.Mode == m.mode {
			stage.Dispatcher = &ChainDispatcher{ID: c.ID, Version: c.Version}
			stage.Programs = dispatched(c.Programs)
		}
		for _, p := range state.Single {
			if p.Mode == m.mode {
				stage.Programs = append(stage.Programs, ChainProgram{ID: p.ID, Name: p.Name, Next: dispatcher.ProceedOnPass.String()})
			}
		}
		addStage(&out, stage)
	}
	return out
}

// dispatched are the programs that a dispatcher calls, in their order.
func dispatched(programs []dispatcher.Program) []ChainProgram {
	out := make([]ChainProgram, 0, len(programs))
	for _, p := range slices.SortedStableFunc(slices.Values(programs), func(a, b dispatcher.Program) int { return a.Slot - b.Slot }) {
		priority, slot := int64(p.Priority), p.Slot
		out = append(out, ChainProgram{
			ID: p.ID, Name: p.Name, Tag: p.Tag, Priority: &priority, Slot: &slot, Next: cmp.Or(p.ProceedOn.String(), nextNever),
		})
	}
	return out
}
