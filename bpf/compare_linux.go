// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/schemas"
)

// problems are sentences on where the record and the kernel differ.
func problems(rec *schemas.Instance) []string {
	var out []string
	for _, p := range rec.Programs {
		if s := programProblem(p); s != "" {
			out = append(out, s)
		}
	}
	for _, mp := range rec.Maps {
		if s := mapProblem(mp); s != "" {
			out = append(out, s)
		}
	}
	for _, l := range rec.Links {
		if s := linkState(l, rec.Programs); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// linkState says in a sentence what is wrong with an attachment, "" when nothing
// is.
func linkState(l schemas.InstanceLink, programs []schemas.InstanceProgram) string {
	if l.Via == viaLink {
		return linkProblem(l)
	}
	if hook, ok := implementations()[l.Hook].(remover); ok {
		return unlinkedProblem(hook, l, programs)
	}
	return ""
}

// openProgramOf opens a recorded program by its pin, or by its id where it has
// none.
func openProgramOf(p schemas.InstanceProgram) (*ebpf.Program, error) {
	if p.Pin == "" {
		return ebpf.NewProgramFromID(ebpf.ProgramID(p.ID))
	}
	return ebpf.LoadPinnedProgram(p.Pin, nil)
}

func programProblem(p schemas.InstanceProgram) string {
	prog, err := openProgramOf(p)
	if err != nil {
		return missing("program", p.Name, err)
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return fmt.Sprintf("program %q cannot be read: %v", p.Name, err)
	}
	if id, ok := info.ID(); ok && uint32(id) != p.ID || info.Tag != p.Tag {
		return fmt.Sprintf("program %q is not the one that was loaded: it has id %d and tag %s instead of %d and %s",
			p.Name, id, info.Tag, p.ID, p.Tag)
	}
	return ""
}

// openMapOf opens a recorded map by its pin, or by its id where it has none.
func openMapOf(mp schemas.InstanceMap) (*ebpf.Map, error) {
	if mp.Pin == "" {
		return ebpf.NewMapFromID(ebpf.MapID(mp.ID))
	}
	return ebpf.LoadPinnedMap(mp.Pin, nil)
}

func mapProblem(mp schemas.InstanceMap) string {
	m, err := openMapOf(mp)
	if err != nil {
		return missing("map", mp.Name, err)
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return fmt.Sprintf("map %q cannot be read: %v", mp.Name, err)
	}
	if id, ok := info.ID(); ok && uint32(id) != mp.ID {
		return fmt.Sprintf("map %q is not the one that was created: it has id %d instead of %d", mp.Name, id, mp.ID)
	}
	return ""
}

// linkProblem is the first problem of an attachment's links.
func linkProblem(l schemas.InstanceLink) string {
	for _, part := range l.Parts() {
		if s := partProblem(l, part); s != "" {
			return s
		}
	}
	return ""
}

func partProblem(l schemas.InstanceLink, part schemas.InstanceLinkPart) string {
	var held link.Link
	var err error
	switch {
	case part.Pin != "":
		held, err = link.LoadPinnedLink(part.Pin, nil)
	case part.ID != 0:
		held, err = link.NewFromID(link.ID(part.ID))
	default:
		return "" // not attached yet, or by an old kernel that has no link to look at
	}
	if err != nil {
		return missing("the attachment of program", l.Program, err)
	}
	defer held.Close()
	info, err := held.Info()
	if err != nil {
		return fmt.Sprintf("the attachment of program %q cannot be read: %v", l.Program, err)
	}
	if uint32(info.ID) != part.ID {
		return fmt.Sprintf("the attachment of program %q is not the one that was made: it has id %d instead of %d", l.Program, info.ID, part.ID)
	}
	if dead(info) {
		return fmt.Sprintf("program %q is attached to nothing any more: %q is gone, or somebody detached it", l.Program, l.Target)
	}
	return ""
}

// dead says whether a link to a network interface, cgroup or network namespace
// has lost it: its index or id is 0 then.
func dead(info *link.Info) bool {
	if x := info.XDP(); x != nil {
		return x.Ifindex == 0
	}
	if x := info.TCX(); x != nil {
		return x.Ifindex == 0
	}
	if x := info.Netkit(); x != nil {
		return x.Ifindex == 0
	}
	if x := info.Cgroup(); x != nil {
		return x.CgroupId == 0
	}
	if x := info.NetNs(); x != nil {
		return x.NetnsInode == 0
	}
	return false
}

// unlinkedProblem asks the hook, in the network namespace of the attachment.
func unlinkedProblem(hook remover, l schemas.InstanceLink, programs []schemas.InstanceProgram) string {
	i := slices.IndexFunc(programs, func(p schemas.InstanceProgram) bool { return p.Name == l.Program })
	if i < 0 {
		return ""
	}
	path, err := findNetns(l)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("the attachment of program %q is in a network namespace (inode %d) that is gone, or cannot be found from here", l.Program, l.Netns)
	}
	var problem string
	err = joined.Errors(err, inNetns(path, func() error {
		problem = hook.gone(l, programs[i])
		return nil
	}))
	if err != nil {
		return err.Error()
	}
	return problem
}

func missing(what, name string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("%s %q is gone: somebody removed its pin", what, name)
	}
	return fmt.Sprintf("%s %q cannot be opened: %v", what, name, err)
}
