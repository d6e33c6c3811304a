// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// progLoadAttr is what bpf(BPF_PROG_LOAD) takes, as far as it is used here:
// union bpf_attr of linux/bpf.h.
type progLoadAttr struct {
	progType, insnCount uint32
	insns, license      unsafe.Pointer
	logLevel, logSize   uint32
	logBuf              unsafe.Pointer
	kernVersion, flags  uint32
	name                [16]byte
	ifindex, attachType uint32
	btfFD, funcInfoSize uint32
	funcInfo            unsafe.Pointer
	funcInfoCount       uint32
	lineInfoSize        uint32
	lineInfo            unsafe.Pointer
	lineInfoCount, _    uint32
}

// verifierLogSize bounds what the verifier says about our own program, which is
// only ever read when it refuses that.
const verifierLogSize = 64 << 10

// loadWithTypes loads a program whose BTF in the kernel also has extra. The
// library loads only the types that functions mention; the version of a
// dispatcher, which others look for, is in one that no function does.
func loadWithTypes(spec *ebpf.ProgramSpec, extra btf.Type) (*ebpf.Program, error) {
	if spec.ByteOrder.Uint16([]byte{1, 0}) != binary.NativeEndian.Uint16([]byte{1, 0}) {
		return nil, errors.New("our dispatcher is compiled for little-endian machines")
	}
	types, err := btf.NewBuilder([]btf.Type{extra}, nil)
	if err != nil {
		return nil, fmt.Errorf("collecting types: %w", err)
	}
	funcs, lines, err := btf.MarshalExtInfos(spec.Instructions, types)
	if err != nil {
		return nil, fmt.Errorf("writing function infos: %w", err)
	}
	handle, err := btf.NewHandle(types)
	if err != nil {
		return nil, fmt.Errorf("loading types: %w", err)
	}
	defer handle.Close()
	var insns bytes.Buffer
	if err := spec.Instructions.Marshal(&insns, spec.ByteOrder); err != nil {
		return nil, fmt.Errorf("writing instructions: %w", err)
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	pointer := func(b []byte) unsafe.Pointer {
		if len(b) == 0 {
			return nil
		}
		pins.Pin(&b[0])
		return unsafe.Pointer(&b[0])
	}
	attr := progLoadAttr{
		progType: uint32(spec.Type), attachType: uint32(spec.AttachType), flags: spec.Flags,
		insns: pointer(insns.Bytes()), insnCount: uint32(insns.Len() / asm.InstructionSize),
		license: pointer(append([]byte(spec.License), 0)),
		btfFD:   uint32(handle.FD()),
		// The sizes of one record each; the library writes no other.
		funcInfo: pointer(funcs), funcInfoSize: btf.FuncInfoSize, funcInfoCount: uint32(len(funcs)) / btf.FuncInfoSize,
		lineInfo: pointer(lines), lineInfoSize: btf.LineInfoSize, lineInfoCount: uint32(len(lines)) / btf.LineInfoSize,
	}
	copy(attr.name[:len(attr.name)-1], spec.Name)
	log := make([]byte, verifierLogSize)
	fd, err := progLoad(&attr)
	if err != nil {
		attr.logBuf, attr.logSize, attr.logLevel = pointer(log), verifierLogSize, 1
		var why error
		if fd, why = progLoad(&attr); why != nil {
			return nil, fmt.Errorf("%w%s", err, lastLine(log))
		}
	}
	return ebpf.NewProgramFromFD(fd)
}

// lastLine is the end of the verifier's log, where it says why, as ": why".
func lastLine(log []byte) string {
	text, _, _ := bytes.Cut(log, []byte{0})
	var last []byte
	for line := range bytes.Lines(text) {
		// The very last ones are statistics.
		if line = bytes.TrimSpace(line); len(line) > 0 && !bytes.HasPrefix(line, []byte("processed ")) {
			last = line
		}
	}
	if last == nil {
		return ""
	}
	return fmt.Sprintf(": %q", last)
}

// progLoad calls the kernel, again as long as that says it was interrupted.
func progLoad(attr *progLoadAttr) (int, error) {
	for range progLoadTries {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		if errno == 0 {
			return int(fd), nil
		}
		if errno != unix.EAGAIN {
			return -1, errno
		}
	}
	return -1, unix.EAGAIN
}

// progLoadTries is how often loading is tried while a signal interrupts the
// verifier, as often as libbpf does (PROG_LOAD_ATTEMPTS in tools/lib/bpf/bpf.c).
const progLoadTries = 5
