// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"os"
	"slices"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestUpdateSettings is about what a run was told of variables, map sizes and who
// may open the maps: it counts on after updates, unless told otherwise.
func TestUpdateSettings(t *testing.T) {
	b := newBench(t)
	opts := mapsImage(t, "x", "sample_rate=100")
	opts.MaxEntries, opts.MapMode = map[string]uint32{"flows": 4096}, 0o660
	b.start(verified(t, "x", objMaps), opts)
	send(t, peer, 1)

	u := b.update("x", verified(t, "x", objMaps), UpdateOptions{})
	send(t, peer, 1)
	b.wantDump("x", ".bss", `"total":200`, `"tailed":2`, `"untailed":0`)
	b.checkSettings(u.Instance, "100", 4096)

	u = b.update("x", verified(t, "x", objMaps), UpdateOptions{
		FreshMaps: true, MaxEntries: map[string]uint32{"flows": 512}, Set: []schemas.VariableSetting{{Name: "sample_rate", Value: "3"}},
	})
	send(t, peer, 1)
	b.wantDump("x", ".bss", `"total":3`, `"tailed":1`)
	b.checkSettings(u.Instance, "3", 512)

	// An image without that variable and that map.
	u = b.update("x", verified(t, "x", objCounter), UpdateOptions{Attach: attachments(t, "xdp_count=none")})
	if len(u.Instance.Variables) != 0 || len(u.Instance.MaxEntries) != 0 {
		t.Errorf("recorded: %v, %v", u.Instance.Variables, u.Instance.MaxEntries)
	}
	b.stop(u.Instance)
}

func (b *bench) checkSettings(rec schemas.Instance, rate string, flows uint32) {
	b.t.Helper()
	if want := []schemas.VariableSetting{{Name: "sample_rate", Value: rate}}; !slices.Equal(rec.Variables, want) {
		b.t.Errorf("recorded variables: %v, want %v", rec.Variables, want)
	}
	d, err := b.Describe(b.t.Context(), rec.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range d.MapDetails {
		if m.Name == "flows" && m.MaxEntries != flows {
			b.t.Errorf("map flows has %d entries, want %d", m.MaxEntries, flows)
		}
	}
	for _, m := range rec.Maps {
		info, err := os.Stat(m.Pin)
		if err != nil {
			b.t.Fatal(err)
		}
		if info.Mode().Perm() != 0o660 {
			b.t.Errorf("the pin of map %q has mode %v", m.Name, info.Mode())
		}
	}
}
