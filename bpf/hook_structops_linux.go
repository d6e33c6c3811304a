// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// structOpsHook registers a table of functions with the part of the kernel that
// calls them: a TCP congestion control, a scheduler, … What is attached is a map,
// by its name, and with it the programs in it; they have no places of their own.
type structOpsHook struct{}

// structOpsPrefix is that of the kernel's types for the values of such maps.
const structOpsPrefix = "bpf_struct_ops_"

func (structOpsHook) programType() ebpf.ProgramType  { return ebpf.StructOps }
func (structOpsHook) capability() capability         { return unix.CAP_PERFMON }
func (structOpsHook) networked() bool                { return false }
func (structOpsHook) target() (what, example string) { return "", "" }

// probe asks for a map that can have a link, of a type that no kernel has (number
// 1 of its types is an integer): one that knows such maps finds the type missing,
// an older one the request wrong. Links of struct_ops: Linux 6.4 (commit
// 68b04864ca42).
func (structOpsHook) probe() error {
	// The part of union bpf_attr for maps.
	attr := struct {
		mapType, keySize, valueSize, maxEntries, flags, innerMap, numaNode uint32
		name                                                               [16]byte
		ifindex, btf, keyType, valueType, kernelValueType                  uint32
	}{mapType: uint32(ebpf.StructOpsMap), keySize: 4, valueSize: 256, maxEntries: 1, flags: unix.BPF_F_LINK, kernelValueType: 1}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	switch errno {
	case 0:
		return unix.Close(int(fd))
	case errnoNotSupp:
		return nil
	case unix.EINVAL:
		return ebpf.ErrNotSupported
	}
	return errno
}

// prepare looks for the part of the kernel that takes such tables.
func (structOpsHook) prepare(_ context.Context, h *host, p *placement) error {
	if p.link.Target != "" {
		return p.usage("it takes no target: what the map is for is in its type")
	}
	if err := needKernelTypes(p); err != nil {
		return err
	}
	value, ok := btf.As[*btf.Struct](h.plan.mapSpec(p.link.Map).Value)
	if !ok {
		return p.usage("the object does not say what is in the map")
	}
	found, err := haveKernelType(structOpsPrefix+value.Name, func(t btf.Type) bool {
		_, is := t.(*btf.Struct)
		return is
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	if !found {
		return fmt.Errorf("%s: %w: this kernel (%s) takes no programs as %q, or the module that does is not loaded",
			p, ErrNoTarget, kernelRelease(), value.Name)
	}
	return nil
}

func (structOpsHook) attach(_ context.Context, h *host, p *placement, _ *ebpf.Program) (io.Closer, error) {
	m := h.objs.mapNamed(p.link.Map)
	if m == nil {
		return nil, p.usage("map %q was not created", p.link.Map)
	}
	l, err := link.AttachStructOps(link.StructOpsOptions{Map: m.m})
	switch {
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.EBUSY):
		err = fmt.Errorf("another one of that name is registered, or there can be only one: %w", err)
		return nil, &KernelError{Op: "attaching " + p.String(), Err: err}
	case err != nil:
		return nil, attachError(p, "struct_ops links", "6.4", err)
	}
	return l, nil
}
