// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/btfvalue"
)

// ErrNotIterable: the map is of a type whose content cannot be listed.
var ErrNotIterable = errors.New("has no entries to list")

// Options of [Read].
type Options struct {
	// Name and Type of the map, as the dump shall say them; required.
	Name, Type string
	// Limit is the most entries read; default [DefaultLimit].
	Limit int
}

// Read dumps m. Programs may change the map meanwhile: an entry that is deleted
// before it is reached is left out, none comes twice, and a map that changes too
// fast to be walked to its end is given as far as it was, Truncated. Without
// permission for its type information (CAP_SYS_ADMIN) keys and values are hex.
// Errors: [ErrNotIterable], the context's, and the kernel's.
func Read(ctx context.Context, m *ebpf.Map, opts Options) (Dump, error) {
	if why := notIterable(m.Type()); why != "" {
		return Dump{}, fmt.Errorf("map %q of type %s %w: %s", opts.Name, opts.Type, ErrNotIterable, why)
	}
	key, value, err := Types(m)
	if err != nil && !errors.Is(err, unix.EPERM) {
		return Dump{}, fmt.Errorf("map %q: %w", opts.Name, err)
	}
	r := reader{m: m, key: key, value: value, limit: opts.Limit}
	if r.limit <= 0 {
		r.limit = DefaultLimit
	}
	if perCPU(m.Type()) {
		if r.cpus, err = ebpf.PossibleCPU(); err != nil {
			return Dump{}, fmt.Errorf("map %q: counting CPUs: %w", opts.Name, err)
		}
	}
	dump := Dump{
		Name: opts.Name, Type: opts.Type, KeyType: typeName(key), ValueType: typeName(value),
		MaxEntries: m.MaxEntries(), Entries: []Entry{},
	}
	if err := r.walk(ctx, &dump); err != nil {
		return Dump{}, fmt.Errorf("reading map %q: %w", opts.Name, err)
	}
	return dump, nil
}

// reader walks one map.
type reader struct {
	m          *ebpf.Map
	key, value btf.Type
	limit      int
	// cpus is how many values an entry has; 0 for maps that are not per CPU.
	cpus int
}

// walk reads entries until the end of the map or the limit. When the entry that
// was reached last is deleted meanwhile, a hash map starts over: entries seen
// before are skipped, and the number of steps is bounded.
func (r *reader) walk(ctx context.Context, dump *Dump) error {
	seen := map[string]bool{}
	var at []byte
	for steps := 0; ; steps++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := r.next(at)
		if err != nil || next == nil {
			return err
		}
		if steps > 4*(r.limit+1) {
			dump.Truncated = true
			return nil
		}
		at = next
		if seen[string(next)] {
			continue
		}
		if len(dump.Entries) == r.limit {
			dump.Truncated = true
			return nil
		}
		seen[string(next)] = true
		data, err := r.m.LookupBytes(next)
		if err != nil {
			return err
		}
		if data != nil {
			dump.Entries = append(dump.Entries, r.entry(next, data))
		}
	}
}

// next is the key after at, or the first when at is nil; nil at the end.
func (r *reader) next(at []byte) ([]byte, error) {
	if at == nil {
		return r.m.NextKeyBytes(nil)
	}
	return r.m.NextKeyBytes(at)
}

func (r *reader) entry(key, data []byte) Entry {
	e := Entry{Key: decode(r.key, key)}
	if r.key == nil && len(key) == 4 && isArray(r.m.Type()) {
		// Array indices need no type information.
		e.Key = decode(&btf.Int{Size: 4}, key)
	}
	if r.cpus == 0 {
		e.Value = decode(r.value, data)
		return e
	}
	// Values of CPUs lie 8 bytes aligned behind each other (bpf(2)).
	stride := len(data) / r.cpus
	for i := range r.cpus {
		e.PerCPU = append(e.PerCPU, decode(r.value, data[i*stride:][:r.m.ValueSize()]))
	}
	e.Value = btfvalue.Sum(e.PerCPU)
	return e
}

func decode(t btf.Type, data []byte) any { return btfvalue.Decode(t, data, binary.NativeEndian) }

func isArray(t ebpf.MapType) bool {
	return t == ebpf.Array || t == ebpf.PerCPUArray
}

func perCPU(t ebpf.MapType) bool {
	return slices.Contains([]ebpf.MapType{ebpf.PerCPUHash, ebpf.PerCPUArray, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage}, t)
}

// notIterable says why maps of type t cannot be dumped, "" when they can.
func notIterable(t ebpf.MapType) string {
	switch t {
	case ebpf.RingBuf, ebpf.UserRingbuf, ebpf.PerfEventArray:
		return "it is a stream of events, which are gone once read"
	case ebpf.ProgramArray:
		return "it holds programs for tail calls"
	case ebpf.SockMap, ebpf.SockHash, ebpf.ReusePortSockArray, ebpf.XSKMap, ebpf.CGroupArray:
		return "it holds references to sockets or control groups"
	case ebpf.Queue, ebpf.Stack, ebpf.BloomFilter:
		return "it has no keys"
	case ebpf.SkStorage, ebpf.InodeStorage, ebpf.TaskStorage, ebpf.CgroupStorage:
		return "its values are stored with the kernel objects they belong to"
	case ebpf.StructOpsMap, ebpf.Arena:
		return "it is not made of keys and values"
	}
	return ""
}
