// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// mapInfo is the start of struct bpf_map_info (linux/bpf.h), as far as the type
// ids that the loader library does not pass on.
type mapInfo struct {
	_              [4 * 6]byte // type … map_flags
	_              [16]byte    // name
	_, _           uint32      // ifindex, btf_vmlinux_value_type_id
	_, _           uint64      // netns_dev, netns_ino
	btfID          uint32
	btfKeyTypeID   uint32
	btfValueTypeID uint32
}

// infoAttr is the part of union bpf_attr for BPF_OBJ_GET_INFO_BY_FD.
type infoAttr struct {
	fd, length uint32
	info       uint64
}

// Types finds the C types of m's key and value as the kernel has them; both are
// nil when the map was made without, and key is for a data section.
func Types(m *ebpf.Map) (key, value btf.Type, err error) {
	var info mapInfo
	var pin runtime.Pinner
	pin.Pin(&info)
	defer pin.Unpin()
	attr := infoAttr{fd: uint32(m.FD()), length: uint32(unsafe.Sizeof(info)), info: uint64(uintptr(unsafe.Pointer(&info)))}
	_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_OBJ_GET_INFO_BY_FD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(m)
	if errno != 0 {
		return nil, nil, fmt.Errorf("asking for the types of the map: %w", errno)
	}
	if info.btfID == 0 {
		return nil, nil, nil
	}
	handle, err := btf.NewHandleFromID(btf.ID(info.btfID))
	if err != nil {
		return nil, nil, fmt.Errorf("opening the type information of the map: %w", err)
	}
	defer handle.Close()
	spec, err := handle.Spec(nil)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the type information of the map: %w", err)
	}
	key, errKey := typeByID(spec, info.btfKeyTypeID)
	value, errValue := typeByID(spec, info.btfValueTypeID)
	return key, value, joined.Errors(errKey, errValue)
}

// typeByID is nil for id 0, which means void: a data section has no key.
func typeByID(spec *btf.Spec, id uint32) (btf.Type, error) {
	if id == 0 {
		return nil, nil
	}
	t, err := spec.TypeByID(btf.TypeID(id))
	if err != nil {
		return nil, fmt.Errorf("reading the type information of the map: %w", err)
	}
	return t, nil
}
