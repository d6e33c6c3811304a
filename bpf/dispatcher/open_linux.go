// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// opened is a dispatcher with what is needed to replace it.
type opened struct {
	prog   *ebpf.Program
	config config
	btf    *btf.Spec
}

// openDispatcher opens the program id. The result is nil when it is no
// dispatcher; name is that of its function in any case. fs.ErrNotExist says that
// the program is gone.
func openDispatcher(id uint32) (d *opened, name string, err error) {
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return nil, "", fmt.Errorf("opening program %d: %w", id, err)
	}
	defer func() {
		if d == nil {
			err = joined.Errors(err, prog.Close())
		}
	}()
	info, err := prog.Info()
	if err != nil {
		return nil, "", fmt.Errorf("reading program %d: %w", id, err)
	}
	if _, hasBTF := info.BTFID(); info.Name != mainFunction || !hasBTF {
		return nil, info.Name, nil
	}
	handle, err := prog.Handle()
	if err != nil {
		return nil, info.Name, fmt.Errorf("opening the types of program %d: %w", id, err)
	}
	defer func() { err = joined.Errors(err, handle.Close()) }()
	spec, err := handle.Spec(nil)
	if err != nil {
		return nil, info.Name, fmt.Errorf("reading the types of program %d: %w", id, err)
	}
	maps, _ := info.MapIDs()
	value, err := configBytes(maps)
	if err != nil {
		return nil, info.Name, fmt.Errorf("reading the configuration of dispatcher %d: %w", id, err)
	}
	c, err := decodeConfig(value, versionInBTF(spec))
	if errors.Is(err, errConfig) {
		return nil, info.Name, nil // somebody else's idea of the name
	}
	return &opened{prog: prog, config: c, btf: spec}, info.Name, err
}

// configBytes reads the only value of the only map; it is nil when there is none
// such.
func configBytes(maps []ebpf.MapID) ([]byte, error) {
	if len(maps) != 1 {
		return nil, nil
	}
	m, err := ebpf.NewMapFromID(maps[0])
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if m.Type() != ebpf.Array || m.KeySize() != 4 || m.MaxEntries() != 1 || m.ValueSize() > configMax ||
		m.Flags()&unix.BPF_F_RDONLY_PROG == 0 {
		return nil, nil
	}
	return m.LookupBytes(uint32(0))
}

// versionInBTF is the version that the metadata of a dispatcher gives, as the
// number of elements of the array a variable's type points to; 0 when there is
// none.
func versionInBTF(spec *btf.Spec) int {
	var section *btf.Datasec
	if err := spec.TypeByName(metadataSection, &section); err != nil {
		return 0
	}
	for _, info := range section.Vars {
		v, ok := info.Type.(*btf.Var)
		if !ok || v.Name != versionVariable {
			continue
		}
		pointer, ok := btf.As[*btf.Pointer](v.Type)
		if !ok {
			return 0
		}
		if array, ok := btf.As[*btf.Array](pointer.Target); ok && array.Nelems < 256 {
			return int(array.Nelems)
		}
	}
	return 0
}

// gone says whether err is that something was taken away while we looked.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
