// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/pin"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// maxPins bounds how many pins are opened to find those of others' programs.
const maxPins = 8192

// ownProgram is one of an instance.
type ownProgram struct {
	instance string
	program  schemas.InstanceProgram
	link     schemas.InstanceLink
}

// ownPrograms are those of all instances by the kernel's id, also the other ones
// of an update that is under way.
func (m *Manager) ownPrograms() (map[uint32]ownProgram, error) {
	records, err := m.records()
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	ours := map[uint32]ownProgram{}
	for _, rec := range records {
		if rec.BootID != boot {
			continue // ids of another boot mean other programs now
		}
		versions := []schemas.Instance{rec}
		if rec.Update != nil {
			versions = append(versions, rec.Update.Other)
		}
		for _, v := range versions {
			for _, p := range v.Programs {
				ours[p.ID] = ownProgram{instance: rec.Name, program: p, link: linkOf(v, p.Name)}
			}
		}
	}
	return ours, nil
}

// linkOf is the attachment of a program, empty when it has none.
func linkOf(rec schemas.Instance, program string) schemas.InstanceLink {
	for _, l := range rec.Links {
		if l.Program == program {
			return l
		}
	}
	return schemas.InstanceLink{}
}

// programFacts is what the kernel says of a program.
type programFacts struct {
	name, kind, tag string
	loaded          time.Duration
	runs            ProgramRuns
}

// learn asks the kernel about the programs of a stage, while they are there.
func (r *chainReader) learn(s *ChainStage) {
	s.programs(func(id uint32, _ **ProgramRuns) {
		if id == 0 {
			return
		}
		if facts, err := factsOf(id); err == nil {
			r.programs[id] = facts
		}
	})
}

func factsOf(id uint32) (programFacts, error) {
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return programFacts{}, fmt.Errorf("opening program %d: %w", id, err)
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return programFacts{}, fmt.Errorf("reading program %d: %w", id, err)
	}
	f := programFacts{name: fullName(info), kind: typeName(info.Type), tag: info.Tag}
	f.loaded, _ = info.LoadTime()
	if stats, err := prog.Stats(); err == nil {
		f.runs = ProgramRuns{Count: stats.RunCount, Time: stats.Runtime, Missed: stats.RecursionMisses}
	}
	return f, nil
}

// typeName is the type in the words of the rest of bpfimg.
func typeName(t ebpf.ProgramType) string {
	if names := inspect.ProgramTypes(); t > 0 && int(t) <= len(names) {
		return names[t-1]
	}
	return fmt.Sprintf("unknown#%d", t)
}

// fullName is the name of a program's function where the kernel cut its own short
// (BPF_OBJ_NAME_LEN, 16 with the end) and has the program's types.
func fullName(info *ebpf.ProgramInfo) string {
	const cut = 15
	if len(info.Name) < cut {
		return info.Name
	}
	functions, err := info.FuncInfos()
	if err != nil || len(functions) == 0 || functions[0].Func == nil {
		return info.Name
	}
	return functions[0].Func.Name
}

// describe says of each program of a stage what it is and whose.
func (r *chainReader) describe(s *ChainStage) {
	for i := range s.Programs {
		p := &s.Programs[i]
		f, known := r.programs[p.ID]
		if !known {
			continue
		}
		p.Type, p.Tag, p.loaded = f.kind, f.tag, f.loaded
		if f.name != "" {
			p.Name = f.name
		}
		if own, ok := r.ours[p.ID]; ok && (own.program.Tag == "" || own.program.Tag == f.tag) {
			own.claim(p)
		}
	}
	s.programs(func(id uint32, runs **ProgramRuns) { r.count(s, id, runs) })
}

// claim says that p is ours, and what only the record knows: lists of the kernel
// have no priorities, and what a filter goes on after is in the program.
func (own ownProgram) claim(p *ChainProgram) {
	p.Instance, p.Name, p.Pin = own.instance, own.program.Name, own.program.Pin
	asked := own.link.Options[schemas.OptionProceedOn]
	if asked != "" && asked != nextUnspec && (p.Next == nextUnspec || p.Next == nextNext) {
		p.Next = asked + "," + p.Next
	}
	if priority, err := strconv.ParseInt(own.link.Options["priority"], 0, 64); err == nil && p.Priority == nil {
		p.Priority = &priority
	}
}

// count fills in how often a program ran. The kernel does not count what a
// dispatcher calls: it is entered by a jump, past the place that counts.
func (r *chainReader) count(s *ChainStage, id uint32, runs **ProgramRuns) {
	facts, known := r.programs[id]
	called := s.Dispatcher != nil && id != s.Dispatcher.ID
	if !known || id == 0 || called && facts.runs.Count == 0 {
		return
	}
	facts.runs.Program = facts.name
	*runs = &facts.runs
}

// findPins looks for the pins of others' programs, and where there is none, of the
// links that hold them.
func (r *chainReader) findPins(ctx context.Context, chains *Chains) error {
	wanted := map[uint32][]*ChainProgram{}
	chains.stages(func(s *ChainStage) {
		for i := range s.Programs {
			if p := &s.Programs[i]; p.ID != 0 && !p.Ours() {
				wanted[p.ID] = append(wanted[p.ID], p)
			}
		}
	})
	if len(wanted) == 0 {
		return nil
	}
	left, found := maxPins, map[*ChainProgram]bool{} // those with a pin of their own
	return filepath.WalkDir(customaryBPFFS, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fmt.Errorf("looking for pins: %w", context.Cause(ctx))
		}
		if left == 0 {
			return fs.SkipAll
		}
		if err != nil || !d.Type().IsRegular() {
			return nil // a folder; or it was removed meanwhile
		}
		left--
		id, direct := pinnedProgram(path)
		for _, p := range wanted[id] {
			if p.Pin == "" || direct && !found[p] {
				p.Pin, found[p] = path, direct
			}
		}
		return nil
	})
}

// pinnedProgram is the id of the program that is pinned itself (direct), or whose
// link is; 0 for everything else.
func pinnedProgram(path string) (id uint32, direct bool) {
	object, err := pin.Load(path, nil)
	if err != nil {
		return 0, false
	}
	defer object.Close()
	switch object := object.(type) {
	case *ebpf.Program:
		if info, err := object.Info(); err == nil {
			id, _ := info.ID()
			return uint32(id), true
		}
	case link.Link:
		if info, err := object.Info(); err == nil {
			return uint32(info.Program), false
		}
	}
	return 0, false
}
