// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/schemas"
)

// Describe says everything about one instance. What the kernel has lost is among
// the problems, not an error. Errors: [ErrNoInstance].
func (m *Manager) Describe(ctx context.Context, name string) (Description, error) {
	st, err := m.Get(ctx, name)
	if err != nil {
		return Description{}, err
	}
	d := Description{Status: st}
	boot, err := bootID()
	if err != nil {
		return d, err
	}
	if st.BootID != boot {
		return d, nil // ids of another boot mean other programs now
	}
	for _, p := range st.Programs {
		if detail, err := programDetail(p); err == nil {
			d.ProgramDetails = append(d.ProgramDetails, detail)
		} else {
			m.log.Debug("a program is not described", "program", p.Name, "error", err)
		}
	}
	for _, l := range st.Links {
		order, err := liveOrder(l)
		if err != nil {
			m.log.Debug("an attachment's place is not described", "program", l.Program, "error", err)
		}
		if order != nil {
			d.Orders = append(d.Orders, ProgramOrder{Program: l.Program, InstanceOrder: *order})
		}
	}
	for _, mp := range st.Maps {
		detail, err := mapDetail(mp)
		if err != nil {
			m.log.Debug("a map is not described", "map", mp.Name, "error", err)
			continue
		}
		d.MapDetails = append(d.MapDetails, detail)
		d.MapMemory += detail.Memory
	}
	return d, nil
}

func programDetail(p schemas.InstanceProgram) (ProgramDetail, error) {
	prog, err := openProgramOf(p)
	if err != nil {
		return ProgramDetail{}, fmt.Errorf("opening program %q: %w", p.Name, err)
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return ProgramDetail{}, fmt.Errorf("reading program %q: %w", p.Name, err)
	}
	d := ProgramDetail{Name: p.Name, ID: p.ID}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		d.Maps = append(d.Maps, uint32(id))
	}
	d.UID, _ = info.CreatedByUID()
	d.LoadedAfter, _ = info.LoadTime()
	d.Verified, _ = info.VerifiedInstructions()
	d.Memory, _ = info.Memlock()
	// Both sizes are kept from those who may not see kernel addresses.
	if n, err := info.TranslatedSize(); err == nil {
		d.Translated = n
	}
	if n, err := info.JitedSize(); err == nil {
		d.Jited = n
	}
	return d, nil
}

func mapDetail(mp schemas.InstanceMap) (MapDetail, error) {
	m, err := openMapOf(mp)
	if err != nil {
		return MapDetail{}, fmt.Errorf("opening map %q: %w", mp.Name, err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return MapDetail{}, fmt.Errorf("reading map %q: %w", mp.Name, err)
	}
	d := MapDetail{
		Name: mp.Name, ID: mp.ID, Type: mp.Type, KeySize: info.KeySize, ValueSize: info.ValueSize,
		MaxEntries: info.MaxEntries, Flags: uint32(info.Flags), Frozen: info.Frozen(),
	}
	d.Memory, _ = info.Memlock()
	return d, nil
}
