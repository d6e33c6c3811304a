// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestMemoryOfKernel compares the estimates with what this kernel counts.
func TestMemoryOfKernel(t *testing.T) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []*ebpf.MapSpec{
		{Type: ebpf.Array, KeySize: 4, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.Array, KeySize: 4, ValueSize: 12, MaxEntries: 1000, Flags: flagMmapable},
		{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.Hash, KeySize: 5, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.Hash, KeySize: 5, ValueSize: 12, MaxEntries: 1000, Flags: flagNoPrealloc},
		{Type: ebpf.PerCPUHash, KeySize: 5, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.PerCPUHash, KeySize: 5, ValueSize: 12, MaxEntries: 1000, Flags: flagNoPrealloc},
		{Type: ebpf.LRUHash, KeySize: 5, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.LRUCPUHash, KeySize: 5, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 12, MaxEntries: 1000, Flags: flagNoPrealloc},
		{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 8 * 20, MaxEntries: 1000},
		{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1000},
		{Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 1000},
		{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1000},
		{Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 1000},
		{Type: ebpf.DevMapHash, KeySize: 4, ValueSize: 4, MaxEntries: 1000},
		{Type: ebpf.SockMap, KeySize: 4, ValueSize: 8, MaxEntries: 1000},
		{Type: ebpf.CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(cpus)},
		{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1000},
		{Type: ebpf.ReusePortSockArray, KeySize: 4, ValueSize: 8, MaxEntries: 1000},
		{Type: ebpf.Queue, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.Stack, ValueSize: 12, MaxEntries: 1000},
		{Type: ebpf.RingBuf, MaxEntries: 1 << 16},
		{Type: ebpf.UserRingbuf, MaxEntries: 1 << 16},
		{Type: ebpf.BloomFilter, ValueSize: 8, MaxEntries: 1000},
		{Type: ebpf.BloomFilter, ValueSize: 8, MaxEntries: 1000, MapExtra: 3},
		{
			Type: ebpf.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1000,
			InnerMap: &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		},
		{
			Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1000,
			InnerMap: &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		},
	} {
		t.Run(fmt.Sprintf("%s %#x", spec.Type, spec.Flags), func(t *testing.T) {
			counted := memoryOf(t, spec)
			memory, perCPU := mapMemory(spec)
			estimate := memory + perCPU*uint64(cpus)
			// The structs of maps differ from release to release.
			const slack = 512
			if estimate+slack < counted || counted+slack < estimate {
				t.Errorf("estimated %d + %d for each of %d CPUs, the kernel counts %d", memory, perCPU, cpus, counted)
			}
			t.Log(estimate, counted)
		})
	}
}

// memoryOf makes and fills a map, and returns the bytes that the kernel says it
// takes.
func memoryOf(t *testing.T, spec *ebpf.MapSpec) uint64 {
	t.Helper()
	m, err := ebpf.NewMap(spec)
	if errors.Is(err, unix.EPERM) || errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("SKIP-REASON: runs with CAP_BPF on a kernel that has the map type")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if spec.Flags&flagNoPrealloc != 0 {
		fill(t, m)
	}
	info, err := m.Info()
	if err != nil {
		t.Fatal(err)
	}
	counted, ok := info.Memlock()
	if !ok || counted == 0 {
		t.Skip("SKIP-REASON: runs where the kernel tells what a map takes")
	}
	return counted
}

// fill puts as many entries into a map as it takes.
func fill(t *testing.T, m *ebpf.Map) {
	t.Helper()
	var value any = make([]byte, m.ValueSize())
	if m.Type() == ebpf.PerCPUHash {
		value = make([][]byte, ebpf.MustPossibleCPU())
		for i := range value.([][]byte) {
			value.([][]byte)[i] = make([]byte, m.ValueSize())
		}
	}
	for i := range m.MaxEntries() {
		key := make([]byte, m.KeySize())
		binary.BigEndian.PutUint32(key[m.KeySize()-4:], i)
		if m.Type() == ebpf.LPMTrie {
			binary.NativeEndian.PutUint32(key, 32)
		}
		if err := m.Put(key, value); err != nil {
			t.Fatal(err)
		}
	}
}
