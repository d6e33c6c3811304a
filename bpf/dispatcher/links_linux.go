// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/bpf/linklist"
)

// linked is the program that a bpf_link puts into the slot of a dispatcher.
type linked struct {
	slot    int
	program uint32
}

// components finds what is linked to the dispatcher id: a program for each slot.
// Kernels before 5.13 (579d23a3) do not say what a bpf_link is linked to; there
// the pins in folder tell. Slots that nothing is linked to are left out.
func components(ctx context.Context, id uint32, d *opened, folder string) ([]linked, error) {
	found := map[int]uint32{}
	err := linklist.Walk(ctx, func(info *link.Info) bool {
		t := info.Tracing()
		if t == nil || t.TargetObjectId != id {
			return false
		}
		if slot, ok := slotOfType(d.btf, btf.TypeID(t.TargetBtfId)); ok && slot < len(d.config.slots) {
			found[slot] = uint32(info.Program)
		}
		return len(found) == len(d.config.slots)
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		if found, err = pinnedComponents(folder, len(d.config.slots)); err != nil {
			return nil, err
		}
	}
	var list []linked
	for slot := range d.config.slots {
		if program, ok := found[slot]; ok {
			list = append(list, linked{slot, program})
		}
	}
	return list, nil
}

// slotOfType is the slot of the function that has this number in the types of a
// dispatcher.
func slotOfType(spec *btf.Spec, id btf.TypeID) (int, bool) {
	t, err := spec.TypeByID(id)
	if err != nil {
		return 0, false
	}
	f, ok := t.(*btf.Func)
	if !ok {
		return 0, false
	}
	return parseFunction(f.Name)
}

// pinnedComponents reads the programs that are pinned in folder.
func pinnedComponents(folder string, slots int) (map[int]uint32, error) {
	found := map[int]uint32{}
	for slot := range slots {
		prog, err := ebpf.LoadPinnedProgram(filepath.Join(folder, progPin(slot)), &ebpf.LoadPinOptions{ReadOnly: true})
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("opening pin %s of %s: %w", progPin(slot), folder, err)
		}
		info, err := prog.Info()
		if err = joined.Errors(err, prog.Close()); err != nil {
			return nil, fmt.Errorf("reading pin %s of %s: %w", progPin(slot), folder, err)
		}
		if id, ok := info.ID(); ok {
			found[slot] = uint32(id)
		}
	}
	return found, nil
}

// heldByLink says whether a bpf_link puts the XDP program on the interface. An
// interface of the same number in another network namespace is not told apart; it
// would need the same program.
func heldByLink(ctx context.Context, ifindex int, program uint32) (held bool, err error) {
	err = linklist.Walk(ctx, func(info *link.Info) bool {
		x := info.XDP()
		held = x != nil && int(x.Ifindex) == ifindex && uint32(info.Program) == program
		return held
	})
	return held, err
}
