// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestUpdateToWhatRuns: the image that runs, with the settings it has, is left alone,
// and whatever is asked for beyond that is done.
func TestUpdateToWhatRuns(t *testing.T) {
	b := newBench(t)
	opts := mapsImage(t, "x", "sample_rate=100")
	opts.MaxEntries = map[string]uint32{"flows": 4096}
	rec := b.start(verified(t, "x", objMaps), opts)
	rate := func(value string) []schemas.VariableSetting {
		return []schemas.VariableSetting{{Name: "sample_rate", Value: value}}
	}
	for _, tt := range []struct {
		name string
		opts UpdateOptions
		same bool
	}{
		{"nothing given", UpdateOptions{}, true},
		{"the same variable", UpdateOptions{Set: rate("100")}, true},
		{"the same size", UpdateOptions{MaxEntries: map[string]uint32{"flows": 4096}}, true},
		{"the same place", UpdateOptions{Attach: opts.Attach}, true},
		{"no downgrade", UpdateOptions{AllowDowngrade: true}, true},
		{"forced", UpdateOptions{Force: true}, false},
		{"fresh maps", UpdateOptions{FreshMaps: true}, false},
		{"another variable", UpdateOptions{Set: rate("7")}, false},
		{"another size", UpdateOptions{MaxEntries: map[string]uint32{"flows": 512}}, false},
		{"what was given last", UpdateOptions{Set: rate("7"), MaxEntries: map[string]uint32{"flows": 512}}, true},
	} {
		t.Log(tt.name)
		before := b.file(rec.Name)
		u := b.update("x", verified(t, "x", objMaps), tt.opts)
		same := u.Instance.Programs[0].ID == rec.Programs[0].ID
		if u.Unchanged != tt.same || same != tt.same || (len(u.Maps)+len(u.Attachments) == 0) != tt.same {
			t.Errorf("unchanged: %v, the same program: %v, want %v: %+v", u.Unchanged, same, tt.same, u)
		}
		if tt.same && b.file(rec.Name) != before {
			t.Error("the record has changed")
		}
		rec = u.Instance
	}

	// Another object under the same names is another image.
	if u := b.update("x", verified(t, "x", objCounter), UpdateOptions{Attach: attachments(t, "xdp_count=none")}); u.Unchanged {
		t.Error("another object was taken for the same")
	}
	b.stop(rec)
}

// file is the record of an instance as it is on the disk.
func (b *bench) file(name string) string {
	b.t.Helper()
	return string(must[[]byte](b.t)(os.ReadFile(filepath.Join(b.opts.State, "instances", name+".json"))))
}

// TestUpdateMendsWhatIsMissing: of what does not run as it should, it cannot be said
// that it runs.
func TestUpdateMendsWhatIsMissing(t *testing.T) {
	b := newBench(t)
	b.startV1(",via=clsact")
	must[[]byte](t)(exec.Command("tc", "qdisc", "del", "dev", dev, "clsact").CombinedOutput())
	u, err := b.Update(t.Context(), "up", updateImage(t, 1), UpdateOptions{})
	if err == nil && u.Unchanged {
		t.Error("an instance that lost its filter was taken for intact")
	}
	if err := b.Stop(t.Context(), "up"); err != nil {
		t.Fatal(err)
	}
}
