// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
)

func newMap(t *testing.T, spec *ebpf.MapSpec) *ebpf.Map {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIP-REASON: runs as root only, it creates BPF maps")
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	m, err := ebpf.NewMap(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func read(t *testing.T, m *ebpf.Map, limit int) Dump {
	t.Helper()
	d, err := Read(t.Context(), m, Options{Name: "m", Type: "x", Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReadTyped(t *testing.T) {
	m := newMap(t, &ebpf.MapSpec{Name: "m", Type: ebpf.Hash, KeySize: 4, ValueSize: 24, MaxEntries: 8, Key: tInAddr, Value: tFlow})
	if err := m.Put([]byte{192, 0, 2, 7}, make([]byte, 24)); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(read(t, m, 0))
	want := `{"name":"m","type":"x","keyType":"struct in_addr","valueType":"struct flow","maxEntries":8,"entries":[` +
		`{"key":"192.0.2.7","value":{"saddr":"0.0.0.0","mark":0,"port":0,"raw":0,"color":"RED","comm":""}}]}`
	if err != nil || string(text) != want {
		t.Errorf("got  %s (%v)\nwant %s", text, err, want)
	}
}

func TestReadPerCPU(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash} {
		// Four bytes, so that the padding between CPUs shows.
		m := newMap(t, &ebpf.MapSpec{
			Type: typ, KeySize: 4, ValueSize: 4, MaxEntries: 1,
			Key: &btf.Int{Name: "unsigned int", Size: 4}, Value: &btf.Int{Name: "unsigned int", Size: 4},
		})
		cpus := ebpf.MustPossibleCPU()
		values, sum := make([]uint32, cpus), 0
		for i := range values {
			values[i] = uint32(10 + i)
			sum += 10 + i
		}
		if err := m.Put(uint32(0), values); err != nil {
			t.Fatal(err)
		}
		d := read(t, m, 0)
		if len(d.Entries) != 1 || len(d.Entries[0].PerCPU) != cpus || d.Entries[0].PerCPU[0] != json.Number("10") {
			t.Fatalf("%s: %+v", typ, d)
		}
		if got, _ := json.Marshal(d.Entries[0].Value); string(got) != mustJSON(t, sum) {
			t.Errorf("%s: sum %s, want %d", typ, got, sum)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestReadUntyped(t *testing.T) {
	array := newMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 2, MaxEntries: 3})
	if got, want := mustJSON(t, read(t, array, 2)), `{"name":"m","type":"x","maxEntries":3,"entries":[{"key":0,"value":"0x0000"},{"key":1,"value":"0x0000"}],"truncated":true}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if d := read(t, array, 3); d.Truncated || len(d.Entries) != 3 {
		t.Errorf("limit as large as the map: %+v", d)
	}
	trie := newMap(t, &ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 1, MaxEntries: 3, Flags: 1})
	if err := trie.Put([]byte{8, 0, 0, 0, 10, 0, 0, 0}, []byte{1}); err != nil {
		t.Fatal(err)
	}
	if d := read(t, trie, 0); len(d.Entries) != 1 || d.Entries[0].Key != "0x080000000a000000" {
		t.Errorf("trie: %+v", d)
	}
}

func TestNotIterable(t *testing.T) {
	for _, spec := range []ebpf.MapSpec{
		{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())},
		{Type: ebpf.PerfEventArray},
		{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: ebpf.Queue, ValueSize: 4, MaxEntries: 1},
	} {
		m := newMap(t, &spec)
		if _, err := Read(t.Context(), m, Options{Name: "m", Type: "x"}); !errors.Is(err, ErrNotIterable) || !strings.Contains(err.Error(), `map "m"`) {
			t.Errorf("%s: %v", spec.Type, err)
		}
	}
}

// TestReadWhileChanging reads a hash map that another goroutine keeps changing:
// no key comes twice, no error, and it ends.
func TestReadWhileChanging(t *testing.T) {
	const keys = 256
	m := newMap(t, &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: keys})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		for i := uint32(0); ctx.Err() == nil; i++ {
			err := m.Put(i%keys, i)
			if err == nil {
				err = m.Delete((i + keys/2) % keys)
			}
			if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 50 {
		var seen []string
		for _, e := range read(t, m, 0).Entries {
			seen = append(seen, e.Key.(string))
		}
		slices.Sort(seen)
		if n := len(seen); len(slices.Compact(seen)) != n {
			t.Error("a key came twice")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := Read(ctx, m, Options{Name: "m"}); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("cancelled read: %v", err)
	}
}
