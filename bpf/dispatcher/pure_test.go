// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"embed"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata/*.hex
var goldens embed.FS

// golden is the configuration of a dispatcher with two components, byte by byte:
// testdata/config.hex, in which # begins a comment.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	text, err := goldens.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConfigGolden(t *testing.T) {
	c := config{version: 2, frags: true, slots: []slotConfig{
		{proceedOn: 1 << 2, priority: 10, frags: true},
		{proceedOn: 1<<1 | 1<<4, priority: 0x01020304, frags: true},
	}}
	want := golden(t, "config.hex")
	if got := c.encode(); !slices.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
	}
	got, err := decodeConfig(want, 0)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, %v; want %+v", got, err, c)
	}
	v1 := config{version: 1, slots: []slotConfig{{proceedOn: 1 << 2, priority: 50}}}
	got, err = decodeConfig(golden(t, "config1.hex"), 1)
	if err != nil || !reflect.DeepEqual(got, v1) {
		t.Errorf("version 1: got %+v, %v; want %+v", got, err, v1)
	}
}

func TestDecodeConfigRefuses(t *testing.T) {
	good := golden(t, "config.hex")
	edited := func(at int, v byte) []byte { b := slices.Clone(good); b[at] = v; return b }
	for _, tc := range []struct {
		name  string
		value []byte
		btf   int
	}{
		{"nothing", nil, 2},
		{"one byte", good[:1], 2},
		{"too short", good[:configSize-1], 2},
		{"too long", append(slices.Clone(good), 0), 2},
		{"magic is wrong", edited(0, 235), 2},
		{"magic is wrong, no version", edited(0, 2), 0},
		{"eleven slots", edited(2, 11), 2},
		{"version 0", edited(1, 0), 0},
		{"version 1 with magic", edited(1, 1), 0},
		{"version 1 with the size of 2", edited(0, 3), 1},
	} {
		if c, err := decodeConfig(tc.value, tc.btf); !errors.Is(err, errConfig) {
			t.Errorf("%s: got %+v, %v, want %v", tc.name, c, err, errConfig)
		}
	}
	// A version of the future is recognised, and nothing more is read.
	if c, err := decodeConfig(edited(1, 3)[:20], 0); err != nil || c.version != 3 || c.slots != nil {
		t.Errorf("version 3: got %+v, %v", c, err)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	f.Add(golden(f, "config.hex"), 2)
	f.Add(golden(f, "config1.hex"), 1)
	f.Add([]byte{configMagic, 3}, 0)
	f.Fuzz(func(t *testing.T, b []byte, version int) {
		c, err := decodeConfig(b, version)
		if err != nil {
			return
		}
		if len(c.slots) > Slots {
			t.Fatalf("%d slots", len(c.slots))
		}
		if c.version == Version {
			again, err := decodeConfig(c.encode(), 0)
			if err != nil || !reflect.DeepEqual(again, c) {
				t.Errorf("%+v becomes %+v, %v", c, again, err)
			}
		}
	})
}

func TestActions(t *testing.T) {
	for _, tc := range []struct {
		list string
		want Actions
		ok   bool
	}{
		{"pass", ProceedOnPass, true},
		{"aborted,drop,pass,tx,redirect", 31, true},
		{"tx,aborted", 9, true},
		{"", 0, false},
		{"pass,", 0, false},
		{"PASS", 0, false},
		{"pass,drop,pass", 0, false},
		{"XDP_PASS", 0, false},
	} {
		got, err := ParseActions(tc.list)
		if got != tc.want || (err == nil) != tc.ok {
			t.Errorf("%q: got %d, %v; want %d", tc.list, got, err, tc.want)
		}
	}
	if got := (proceedOnStub | 1<<7 | 1<<4 | 1).String(); got != "aborted,redirect,7" {
		t.Errorf("got %q", got)
	}
}

func FuzzParseActions(f *testing.F) {
	f.Add("pass,drop")
	f.Add("aborted,drop,pass,tx,redirect")
	f.Add(",,")
	f.Fuzz(func(t *testing.T, list string) {
		a, err := ParseActions(list)
		if err != nil {
			return
		}
		again, err := ParseActions(a.String())
		if a == 0 || a >= 32 || err != nil || again != a {
			t.Errorf("%q becomes %d, then %d, %v", list, a, again, err)
		}
	})
}

func TestFolderNames(t *testing.T) {
	if got := folderName(3, 1024); got != "dispatch-3-1024" {
		t.Errorf("got %q", got)
	}
	if i, id, ok := parseFolder("dispatch-3-1024"); i != 3 || id != 1024 || !ok {
		t.Errorf("got %d %d %t", i, id, ok)
	}
	for _, name := range []string{
		"", "dispatch-", "dispatch-1", "dispatch-1-", "dispatch--1-2", "dispatch-01-2", "dispatch-1-+2",
		"dispatch-1-2-3", "dispatch-1-2/..", "Dispatch-1-2", "dispatch-2147483648-1", "dispatch-1-4294967296",
	} {
		if _, _, ok := parseFolder(name); ok {
			t.Errorf("%q was taken for a folder of pins", name)
		}
	}
}

func FuzzParseFolder(f *testing.F) {
	f.Add("dispatch-3-1024")
	f.Add("dispatch-03-1")
	f.Fuzz(func(t *testing.T, name string) {
		if i, id, ok := parseFolder(name); ok && (folderName(i, id) != name || strings.ContainsRune(name, '/')) {
			t.Errorf("%q was taken for %d and %d", name, i, id)
		}
	})
}

func TestFunctions(t *testing.T) {
	for name, want := range map[string]int{"xdp_dispatcher": 0, "prog0": 0, "prog9": 9, "prog10": -1, "prog": -1, "prog01": -1, "": -1} {
		slot, ok := parseFunction(name)
		if !ok {
			slot = -1
		}
		if slot != want {
			t.Errorf("%q: slot %d, want %d", name, slot, want)
		}
	}
	for slot := range Slots {
		for of := slot + 1; of <= Slots; of++ {
			if got, ok := parseFunction(linkFunction(slot, of)); !ok || got != slot {
				t.Errorf("slot %d of %d is linked to slot %d", slot, of, got)
			}
		}
	}
}

func TestOrder(t *testing.T) {
	// Each is before the next.
	chain := []place{
		{priority: 0, name: "z"},
		{priority: 49, name: "b", tag: "ff"},
		{priority: 50, name: "A"},
		{priority: 50, name: "a", loaded: true, tag: "00", loadTime: 9},
		{priority: 50, name: "a", loaded: true, tag: "01", loadTime: 1},
		{priority: 50, name: "a", loaded: true, tag: "01", loadTime: 2},
		{priority: 50, name: "a", tag: "00"},
		{priority: 50, name: "ab"},
		{priority: 4294967295, name: "a"},
	}
	for i, p := range chain {
		for j, q := range chain {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := p.compare(q); got != want {
				t.Errorf("%+v with %+v: %d, want %d", p, q, got, want)
			}
		}
	}
}
