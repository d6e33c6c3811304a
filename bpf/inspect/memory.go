// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"math/bits"

	"github.com/cilium/ebpf"
)

// Sizes in the kernel, of 64-bit machines. The structs are private to it and grow
// now and then by some bytes.
const (
	pageSize = 4096
	// mapHead stands for the struct of a map, whose part common to all types,
	// struct bpf_map, is most of it.
	mapHead = 320
	// hashHead is struct bpf_htab, hashElement struct htab_elem before the key, hashBucket struct bucket
	// (kernel/bpf/hashtab.c).
	hashHead, hashElement, hashBucket = 896, 48, 16
	// listNode is struct llist_node, which the allocator of elements that are not
	// there from the start keeps in front of them.
	listNode = 8
	// sockElement is struct bpf_shtab_elem, sockBucket struct bpf_shtab_bucket
	// (net/core/sock_map.c).
	sockElement, sockBucket = 48, 16
	// stackBucket is struct stack_map_bucket (kernel/bpf/stackmap.c).
	stackBucket = 16
	// trieNode is struct lpm_trie_node, and triePrefix the length in front of the
	// data in a key (kernel/bpf/lpm_trie.c).
	trieNode, triePrefix = 24, 4
	// ringPages are those of a ring buffer before the data: its struct, and the
	// positions of consumer and producer (kernel/bpf/ringbuf.c).
	ringPages = 3
	pointer   = 8
)

// Map flags of linux/bpf.h that change what a map takes.
const (
	flagNoPrealloc = 1 << 0
	flagMmapable   = 1 << 10
)

// maxMapMemory is what an estimate may come to: numbers above that are not exact
// in every reader of JSON, and no machine has as much.
const maxMapMemory = 1<<53 - 1

// footprint is what a map takes.
type footprint struct {
	// fixed bytes, each for every entry, and those again for every possible CPU.
	fixed, each, perCPU, perCPUEach uint64
}

// mapMemory estimates what a map takes when it is full, in bytes, and how much
// more for each possible CPU; 0 where the definition does not say enough. It
// counts what the kernel does since Linux 6.4, where each map type has a function
// for it (map_mem_usage; the "memlock" in the fdinfo of a map).
func mapMemory(m *ebpf.MapSpec) (memory, perCPU uint64) {
	f, ok := footprintOf(m)
	if !ok {
		return 0, 0
	}
	entries := uint64(m.MaxEntries)
	high, whole := bits.Mul64(f.each, entries)
	high2, wholeCPU := bits.Mul64(f.perCPUEach, entries)
	memory, perCPU = f.fixed+whole, f.perCPU+wholeCPU
	if high|high2 != 0 || whole > maxMapMemory || wholeCPU > maxMapMemory || memory > maxMapMemory || perCPU > maxMapMemory {
		return 0, 0
	}
	return memory, perCPU
}

func footprintOf(m *ebpf.MapSpec) (footprint, bool) {
	if m.MaxEntries == 0 && m.Type != ebpf.PerfEventArray {
		return footprint{}, false // set later, or a type that takes by what it is attached to
	}
	entries, value := uint64(m.MaxEntries), round(uint64(m.ValueSize), 8)
	switch m.Type {
	case ebpf.Array:
		if m.Flags&flagMmapable != 0 {
			high, data := bits.Mul64(entries, value)
			return footprint{fixed: pageSize + round(data, pageSize)}, high == 0 && data <= maxMapMemory
		}
		return footprint{fixed: mapHead, each: value}, true
	case ebpf.PerCPUArray:
		return footprint{fixed: mapHead, each: pointer, perCPUEach: value}, true
	case ebpf.ProgramArray, ebpf.CGroupArray, ebpf.ArrayOfMaps, ebpf.DevMap, ebpf.SockMap, ebpf.CPUMap, ebpf.XSKMap, ebpf.ReusePortSockArray:
		return footprint{fixed: mapHead, each: pointer}, true
	case ebpf.PerfEventArray:
		// One for each CPU, whatever the definition says: the loader takes no more.
		return footprint{fixed: mapHead, perCPU: pointer}, true
	case ebpf.Hash, ebpf.LRUHash, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.HashOfMaps:
		return hashFootprint(m, value), true
	}
	return otherFootprint(m, value)
}

// hashFootprint is that of kernel/bpf/hashtab.c.
func hashFootprint(m *ebpf.MapSpec, value uint64) footprint {
	f := footprint{fixed: hashHead + hashBucket*buckets(m.MaxEntries)}
	f.each = hashElement + round(uint64(m.KeySize), 8)
	perCPU := m.Type == ebpf.PerCPUHash || m.Type == ebpf.LRUCPUHash
	if perCPU {
		f.each += pointer
		f.perCPUEach = value
	} else {
		f.each += value
	}
	switch {
	case m.Flags&flagNoPrealloc != 0 && perCPU:
		f.each += 2*listNode + pointer
	case m.Flags&flagNoPrealloc != 0:
		f.each += listNode
	case m.Type == ebpf.Hash || m.Type == ebpf.HashOfMaps:
		// One more element for each CPU, and a pointer to it.
		f.perCPU = f.each + pointer
	}
	return f
}

func otherFootprint(m *ebpf.MapSpec, value uint64) (footprint, bool) {
	entries, key := uint64(m.MaxEntries), uint64(m.KeySize)
	switch m.Type {
	case ebpf.StackTrace:
		return footprint{fixed: mapHead + pointer*buckets(m.MaxEntries), each: stackBucket + uint64(m.ValueSize)}, true
	case ebpf.LPMTrie:
		return footprint{fixed: mapHead, each: trieNode + max(key, triePrefix) - triePrefix + uint64(m.ValueSize)}, true
	case ebpf.DevMapHash:
		return footprint{fixed: mapHead + pointer*buckets(m.MaxEntries)}, true
	case ebpf.SockHash:
		return footprint{fixed: mapHead + sockBucket*buckets(m.MaxEntries), each: sockElement + round(key, 8)}, true
	case ebpf.Queue, ebpf.Stack:
		// One more, to tell a full one from an empty one.
		return footprint{fixed: mapHead + uint64(m.ValueSize), each: uint64(m.ValueSize)}, true
	case ebpf.RingBuf, ebpf.UserRingbuf:
		// The data is mapped twice in a row, so it has two pointers to each page.
		return footprint{fixed: mapHead + ringPages*pageSize + entries + pointer*(ringPages+2*entries/pageSize)}, true
	case ebpf.Arena:
		return footprint{each: pageSize}, true
	case ebpf.BloomFilter:
		return footprint{fixed: mapHead + bloomBits(m)/8}, true
	}
	return footprint{}, false
}

// bloomBits is the size of a bloom filter: bloom_map_alloc of
// kernel/bpf/bloom_filter.c.
func bloomBits(m *ebpf.MapSpec) uint64 {
	hashes := m.MapExtra & 0xf
	if hashes == 0 {
		hashes = 5
	}
	// Entries times hashes divided by the logarithm of 2, nearly 7/5.
	return max(powerOfTwo(uint64(m.MaxEntries)*hashes/5*7), 64)
}

// buckets of a hash table.
func buckets(entries uint32) uint64 { return powerOfTwo(uint64(entries)) }

// powerOfTwo rounds up to one; n is at least 1 and below 1<<63.
func powerOfTwo(n uint64) uint64 { return 1 << bits.Len64(n-1) }

// round rounds up to a multiple of to, a power of two.
func round(n, to uint64) uint64 { return (n + to - 1) &^ (to - 1) }
