// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
)

const objMaps = "testdata/maps.bpf.o"

// mapsImage runs testdata/maps.bpf.c on dev.
func mapsImage(t *testing.T, name string, set ...string) RunOptions {
	t.Helper()
	opts := RunOptions{Name: name, Attach: attachments(t, "entry=xdp:"+dev+",mode=generic")}
	for _, s := range set {
		name, value, _ := strings.Cut(s, "=")
		opts.Set = append(opts.Set, schemas.VariableSetting{Name: name, Value: value})
	}
	return opts
}

// wantDump checks that the dump of a map says all of words.
func (b *bench) wantDump(instance, name string, words ...string) {
	b.t.Helper()
	_, text := b.dump(instance, name)
	for _, w := range words {
		if !strings.Contains(text, w) {
			b.t.Errorf("map %q of %q does not say %s: %s", name, instance, w, text)
		}
	}
}

// TestVariables sets variables of every section and sees the program use them.
func TestVariables(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "x", objMaps), mapsImage(t, "vars", "sample_rate=100", "bias=-300", "total=1000",
		`config={"step": 7, "ports": [8080], "on": true, "iface": "eth0", "mode": "COUNT", "high": 9}`))
	send(t, peer, 3)
	b.wantDump("vars", ".rodata", `"sample_rate":100`,
		`"step":7,"ports":[8080,443],"on":true,"iface":"eth0","mode":"COUNT","low":0,"high":9`)
	b.wantDump("vars", ".data", `"bias":-300`)
	b.wantDump("vars", ".bss", `"total":1300`)
	b.wantDump("vars", "flows", `"key":1,"value":21`)
	if len(rec.Variables) != 4 || rec.Variables[0] != (schemas.VariableSetting{Name: "sample_rate", Value: "100"}) {
		t.Errorf("recorded %v", rec.Variables)
	}
	b.stop(rec)
}

// TestSettingErrors: all before anything is loaded.
func TestSettingErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*RunOptions)
		target error
		says   []string
	}{
		"unknown variable": {func(o *RunOptions) { o.Set = []schemas.VariableSetting{{Name: "sample", Value: "1"}} }, ErrSetting, []string{`no global variable "sample"`, `"sample_rate"`}},
		"range":            {func(o *RunOptions) { o.Set = []schemas.VariableSetting{{Name: "bias", Value: "40000"}} }, ErrSetting, []string{`variable "bias"`, "__s16", "-32768 to 32767"}},
		"pointer":          {func(o *RunOptions) { o.Set = []schemas.VariableSetting{{Name: "somewhere", Value: "1"}} }, ErrSetting, []string{`"somewhere"`, "void *"}},
		"twice": {func(o *RunOptions) {
			o.Set = []schemas.VariableSetting{{Name: "bias", Value: "1"}, {Name: "maps/bias", Value: "2"}}
		}, ErrSetting, []string{"set twice"}},
		"unknown map":     {func(o *RunOptions) { o.MaxEntries = map[string]uint32{"flow": 1} }, ErrSetting, []string{`no map "flow"`, `"flows"`}},
		"data section":    {func(o *RunOptions) { o.MaxEntries = map[string]uint32{".rodata": 2} }, ErrSetting, []string{`no map ".rodata"`}},
		"zero":            {func(o *RunOptions) { o.MaxEntries = map[string]uint32{"flows": 0} }, ErrSetting, []string{"at least 1"}},
		"ring buffer":     {func(o *RunOptions) { o.MaxEntries = map[string]uint32{"events": 5000} }, ErrSetting, []string{"power of two", "8192 would do"}},
		"filled array":    {func(o *RunOptions) { o.MaxEntries = map[string]uint32{"jumps": 1} }, ErrSetting, []string{"fills entry 1"}},
		"inner array":     {func(o *RunOptions) { o.MaxEntries = map[string]uint32{"first": 2} }, ErrSetting, []string{`inner map of "outer"`}},
		"no pin":          {func(o *RunOptions) { o.UseMaps = map[string]string{"flows": "/sys/fs/bpf/nothing"} }, ErrNoMap, []string{"/sys/fs/bpf/nothing"}},
		"no path":         {func(o *RunOptions) { o.UseMaps = map[string]string{"flows": "flows"} }, ErrSetting, []string{"absolute path"}},
		"filled map":      {func(o *RunOptions) { o.UseMaps = map[string]string{"jumps": "/sys/fs/bpf/x"} }, ErrSetting, []string{"fills 1 of its entries"}},
		"nobody":          {func(o *RunOptions) { o.ShareMaps = []string{"nobody"} }, ErrNoInstance, []string{"nobody"}},
		"executable maps": {func(o *RunOptions) { o.MapMode = 0o750 }, ErrSetting, []string{"0750"}},
		"not for root":    {func(o *RunOptions) { o.MapMode = 0o060 }, ErrSetting, []string{"owner"}},
		"no group":        {func(o *RunOptions) { o.MapGroup = "no such group" }, ErrSetting, []string{`"no such group"`}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			opts := mapsImage(t, "wrong")
			tc.change(&opts)
			loads := false
			b.opts.step = func(step string) error {
				loads = loads || step == "load"
				return nil
			}
			b.reopen()
			_, err := b.Run(t.Context(), verified(t, "x", objMaps), opts)
			wantError(t, err, tc.target, tc.says...)
			if loads {
				t.Error("something was loaded before the error")
			}
			b.checkGone(schemas.Instance{Name: "wrong"})
		})
	}
}

// TestNamesOfSeveralObjects: FILE/NAME where a name alone is not enough.
func TestNamesOfSeveralObjects(t *testing.T) {
	b := newBench(t)
	v := verified(t, "x", objMaps, "testdata/moremaps.bpf.o")
	opts := mapsImage(t, "two", "sample_rate=5")
	_, err := b.Run(t.Context(), v, opts)
	wantError(t, err, ErrSetting, `"maps/sample_rate", "moremaps/sample_rate"`)
	opts = mapsImage(t, "two", "maps/sample_rate=5", "moremaps.bpf.o/sample_rate=6", "extra=7")
	opts.Attach = append(opts.Attach, attachments(t, "more=none")...)
	opts.MaxEntries = map[string]uint32{"moremaps/flows": 16}
	rec := b.start(v, opts)
	b.wantDump("two", "maps/.rodata", `"sample_rate":5`)
	b.wantDump("two", "moremaps/.rodata", `"sample_rate":6`, `"extra":7`)
	for _, m := range rec.Maps {
		want := map[string]uint32{"maps/flows": 1024, "moremaps/flows": 16}[m.Name]
		if want != 0 && m.MaxEntries != want {
			t.Errorf("map %q has %d entries, want %d", m.Name, m.MaxEntries, want)
		}
	}
	b.stop(rec)
}

// TestTailCallsAndInnerMaps: program arrays and maps of maps that the object
// fills still work when the process that loaded them has let go.
func TestTailCallsAndInnerMaps(t *testing.T) {
	b := newBench(t)
	opts := mapsImage(t, "tails")
	opts.MaxEntries = map[string]uint32{"events": 8192, "jumps": 8, "flows": 65536}
	rec := b.start(verified(t, "x", objMaps), opts)
	send(t, peer, 4)
	b.wantDump("tails", ".bss", `"tailed":4`, `"untailed":0`)
	b.wantDump("tails", "second", `"key":0,"value":4`)
	b.wantDump("tails", "first", `"key":0,"value":0`)
	if len(rec.Programs) != 2 || len(rec.Links) != 1 {
		t.Errorf("%d programs and %d links, want both programs and the link of one", len(rec.Programs), len(rec.Links))
	}
	for _, m := range rec.Maps {
		if want, ok := opts.MaxEntries[m.Name]; ok && m.MaxEntries != want {
			t.Errorf("map %q has %d entries, want %d", m.Name, m.MaxEntries, want)
		}
	}
	if rec.MaxEntries["flows"] != 65536 {
		t.Errorf("recorded sizes %v", rec.MaxEntries)
	}
	b.stop(rec)

	// Asked for, a tail program is attached like any other.
	opts = RunOptions{Name: "tails", Attach: attachments(t, "tail=xdp:"+dev+",mode=generic", "entry=none")}
	rec = b.start(verified(t, "x", objMaps), opts)
	if len(rec.Links) != 1 || rec.Links[0].Program != "tail" {
		t.Errorf("links %v", rec.Links)
	}
	b.stop(rec)
}

// TestUseMap: a map that is pinned by somebody else.
func TestUseMap(t *testing.T) {
	b := newBench(t)
	if err := ensureBPFFS(b.opts.BPFFS); err != nil {
		t.Fatal(err)
	}
	theirs, err := ebpf.NewMap(&ebpf.MapSpec{Name: "theirs", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 9})
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	path := filepath.Join(b.opts.BPFFS, "theirs")
	if err := theirs.Pin(path); err != nil {
		t.Fatal(err)
	}
	defer theirs.Unpin()

	opts := mapsImage(t, "user")
	opts.UseMaps = map[string]string{"events": path}
	_, err = b.Run(t.Context(), verified(t, "x", objMaps), opts)
	wantError(t, err, ErrMapDiffers, `map "events"`, "type hash instead of ringbuf")
	opts.UseMaps = map[string]string{"flows": path}
	_, err = b.Run(t.Context(), verified(t, "x", objMaps), opts)
	wantError(t, err, ErrMapDiffers, "9 entries instead of 1024", "--map-max-entries flows=9")

	opts.MaxEntries = map[string]uint32{"flows": 9}
	rec := b.start(verified(t, "x", objMaps), opts)
	send(t, peer, 2)
	var n uint64
	if err := theirs.Lookup(uint32(0), &n); err != nil || n != 2 {
		t.Errorf("their map says %d, %v; want 2", n, err)
	}
	m := mapOf(t, rec, "flows")
	if m.Shared != path || m.Pin != filepath.Join(rec.PinPath, pinMaps, "flows") {
		t.Errorf("recorded as %+v", m)
	}
	b.log.Reset()
	if err := b.Stop(t.Context(), "user"); err != nil {
		t.Fatal(err)
	}
	if b.saysHeld(m.ID) {
		t.Errorf("stop waited for a map that is not the instance's: %s", b.log)
	}
	if err := theirs.Lookup(uint32(0), &n); err != nil || n != 2 {
		t.Errorf("after stop their map says %d, %v", n, err)
	}
}

// saysHeld says whether stop warned that somebody else holds a map.
func (b *bench) saysHeld(id uint32) bool {
	_, maps, warned := strings.Cut(b.log.String(), "still holds")
	return warned && regexp.MustCompile(fmt.Sprintf(`\b%d\b`, id)).MatchString(maps)
}

func mapOf(t *testing.T, rec schemas.Instance, name string) schemas.InstanceMap {
	t.Helper()
	for _, m := range rec.Maps {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("no map %q in %v", name, rec.Maps)
	return schemas.InstanceMap{}
}

// TestShareMaps: two instances, one map; it lives as long as either of them.
func TestShareMaps(t *testing.T) {
	b := newBench(t)
	v := verified(t, "x", objMaps)
	first := b.start(v, mapsImage(t, "first"))

	opts := RunOptions{Name: "second", Attach: attachments(t, "more=xdp:"+peer+",mode=generic"), ShareMaps: []string{"first"}}
	_, err := b.Run(t.Context(), verified(t, "x", "testdata/moremaps.bpf.o"), opts)
	wantError(t, err, ErrMapDiffers, `map "flows" cannot be the one of first`, "1024 entries instead of 2048")
	opts.MaxEntries = map[string]uint32{"flows": 1024}
	second := b.start(verified(t, "x", "testdata/moremaps.bpf.o"), opts)
	a, z := mapOf(t, first, "flows"), mapOf(t, second, "flows")
	if a.ID != z.ID || z.Shared != "first" || a.Shared != "" {
		t.Errorf("first has %+v, second %+v", a, z)
	}
	send(t, dev, 3) // arrives at peer
	b.wantDump("first", "flows", `"key":77,"value":3`)

	// Nothing in common is an error, not a surprise later.
	opts = RunOptions{Name: "third", Iface: dev, ShareMaps: []string{"second"}}
	_, err = b.Run(t.Context(), verified(t, "x", objCounter), opts)
	wantError(t, err, ErrSetting, `nothing to share with instance "second"`, `"flows"`)

	b.log.Reset()
	if err := b.Stop(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.log.String(), "lives on") || b.saysHeld(a.ID) {
		t.Errorf("stopping the lender said: %s", b.log)
	}
	send(t, dev, 1)
	b.wantDump("second", "flows", `"key":77,"value":4`)
	if err := b.Stop(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	if left := waitGone(t.Context(), patience, []uint32{z.ID}, lookForMap); len(left) > 0 {
		t.Errorf("the shared map is left when both have gone")
	}
}

// TestRecordOfMaps: what a companion process reads.
func TestRecordOfMaps(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "x", objMaps), mapsImage(t, "pins"))
	for _, m := range rec.Maps {
		if want := filepath.Join(b.opts.BPFFS, "pins", "maps", pinName(m.Name)); m.Pin != want {
			t.Errorf("map %q is at %s, want %s", m.Name, m.Pin, want)
		}
	}
	text, err := json.Marshal(mapOf(t, rec, "flows"))
	if err != nil || !strings.Contains(string(text), `"maxEntries":1024`) {
		t.Errorf("%s, %v", text, err)
	}
	b.stop(rec)
}
