// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
)

// maxEntries bounds how many entries of a map are read.
const maxEntries = 1 << 16

// count sums the values of a map of the running instance.
func (e *env) count(name string) (sum uint64, err error) {
	counts, err := e.counts(name)
	for _, n := range counts {
		sum += n
	}
	return sum, err
}

// counts reads a map of the running instance: one number an entry, in the
// kernel's order. An entry's number is the first of its value (a plain counter,
// or the first field of a struct), summed over processors; of a map of global
// variables (.bss, .data) it is the sum of all.
func (e *env) counts(name string) ([]uint64, error) {
	m, err := e.openMap(name)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var counts []uint64
	var key []byte
	for range maxEntries {
		if key == nil {
			key, err = m.NextKeyBytes(nil)
		} else {
			key, err = m.NextKeyBytes(key)
		}
		if err != nil {
			return nil, fmt.Errorf("reading map %s: %w", name, err)
		}
		if key == nil {
			break
		}
		data, err := m.LookupBytes(key)
		if err != nil {
			return nil, fmt.Errorf("reading map %s: %w", name, err)
		}
		counts = append(counts, entryCount(data, int(m.ValueSize()), strings.HasPrefix(name, ".")))
	}
	return counts, nil
}

// openMap opens a map of the running instance; the caller closes it.
func (e *env) openMap(name string) (*ebpf.Map, error) {
	for _, m := range e.instance.Maps {
		if m.Name == name {
			opened, err := ebpf.NewMapFromID(ebpf.MapID(m.ID))
			if err != nil {
				return nil, fmt.Errorf("opening map %s: %w", name, err)
			}
			return opened, nil
		}
	}
	return nil, fmt.Errorf("the instance has no map %s", name)
}

// entryCount is the number of one entry. Values of processors lie behind each
// other, 8 bytes aligned (bpf(2)).
func entryCount(data []byte, size int, all bool) (n uint64) {
	stride := (size + 7) &^ 7
	if len(data) < stride {
		stride = len(data) // not per processor
	}
	for ; stride > 0 && len(data) >= stride; data = data[stride:] {
		n += word(data[:min(size, stride)])
		for i := 8; all && i < size; i += 8 {
			n += word(data[i:size])
		}
	}
	return n
}

// word is the first number of a value.
func word(b []byte) uint64 {
	switch {
	case len(b) >= 8:
		return binary.NativeEndian.Uint64(b)
	case len(b) >= 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case len(b) > 0:
		return uint64(b[0])
	}
	return 0
}
