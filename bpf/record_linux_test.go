// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// stateOnly is a manager of records that speak of nothing in the kernel.
func stateOnly(t *testing.T, records ...schemas.Instance) *Manager {
	t.Helper()
	m := must[*Manager](t)(Open(Options{State: t.TempDir(), BPFFS: "/sys/fs/bpf/bpfimg-test-none"}))
	if err := os.MkdirAll(m.recordDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range records {
		if err := m.save(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestRecordRefused is about files in the place of a record that are none.
func TestRecordRefused(t *testing.T) {
	const newest = schemas.InstanceVersion
	for _, tt := range []struct {
		name, text string
		target     error
		want       string // "" when it is read
	}{
		{"a record", fmt.Sprintf(`{"schemaVersion": %d, "name": "x"}`, newest), nil, ""},
		{"of an older bpfimg", `{"name": "x"}`, nil, ""},
		{"of a newer bpfimg", fmt.Sprintf(`{"schemaVersion": %d, "name": "x"}`, newest+1), nil, "written by a newer bpfimg"},
		{"of another instance", fmt.Sprintf(`{"schemaVersion": %d, "name": "y"}`, newest), errDamaged, `it names "y"`},
		{"empty", "", errDamaged, "damaged"},
		{"cut short", `{"name": "x"`, errDamaged, "damaged"},
		{"longer than any", `{"name": "x", "digest": "` + strings.Repeat("0", maxRecord) + `"}`, errDamaged, "damaged"},
	} {
		m := stateOnly(t)
		if err := os.WriteFile(m.recordPath("x"), []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		rec, err := m.record("x")
		if tt.want != "" {
			t.Log(tt.name)
			wantError(t, err, tt.target, tt.want)
		} else if err != nil || rec == nil || rec.Name != "x" {
			t.Errorf("%s: %+v, %v", tt.name, rec, err)
		}
	}
}

// livingRecord is one that nothing keeps from being used.
func livingRecord(t *testing.T, change func(*schemas.Instance)) schemas.Instance {
	t.Helper()
	rec := schemas.Instance{
		SchemaVersion: schemas.InstanceVersion, Name: "x", State: stateRunning,
		BootID: must[string](t)(bootID()), PinPath: "/sys/fs/bpf/bpfimg-test-none/x",
	}
	change(&rec)
	return rec
}

// TestShareable: maps can be borrowed from what runs, and not from remains.
func TestShareable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*schemas.Instance)
		want   string
	}{
		{"it runs", func(*schemas.Instance) {}, ""},
		{"another boot", func(r *schemas.Instance) { r.BootID = "another" }, "restarted"},
		{"half started", func(r *schemas.Instance) { r.State = stateStarting }, "its start was interrupted"},
		{"half stopped", func(r *schemas.Instance) { r.State = stateStopping }, "its stop was interrupted"},
		{"its process has ended", func(r *schemas.Instance) { r.Foreground = true }, "has ended"},
	} {
		rec, err := stateOnly(t, livingRecord(t, tt.change)).shareable("x")
		if tt.want != "" {
			t.Log(tt.name)
			wantError(t, err, ErrNoInstance, tt.want)
		} else if err != nil || rec.Name != "x" {
			t.Errorf("%s: %+v, %v", tt.name, rec, err)
		}
	}
}

// TestUpdatable: what is no running instance, or of another bpffs, is not updated.
func TestUpdatable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*schemas.Instance)
		target error
		want   string
	}{
		{"it runs", func(*schemas.Instance) {}, nil, ""},
		{"another boot", func(r *schemas.Instance) { r.BootID = "another" }, ErrNoInstance, "only remains are left"},
		{"another boot, in an update", func(r *schemas.Instance) {
			r.BootID, r.State, r.Update = "another", stateUpdating, &schemas.InstanceUpdate{Other: *r}
		}, ErrNoInstance, "only remains are left"},
		{"half stopped", func(r *schemas.Instance) { r.State = stateStopping }, ErrNoInstance, "only remains are left"},
		{"another bpffs", func(r *schemas.Instance) { r.PinPath = "/other/bpf/x" }, ErrUsage, "give --bpffs /other/bpf"},
	} {
		rec, err := stateOnly(t, livingRecord(t, tt.change)).updatable(t.Context(), "x")
		if tt.want != "" {
			t.Log(tt.name)
			wantError(t, err, tt.target, tt.want)
		} else if err != nil || rec.Name != "x" {
			t.Errorf("%s: %+v, %v", tt.name, rec, err)
		}
	}
}

// TestUpdateDowngrade: the version of what runs is not fallen back behind, unless
// somebody says so.
func TestUpdateDowngrade(t *testing.T) {
	// Who gets past the versions stumbles over this before the kernel is asked.
	nobody := attachments(t, "nobody=none")
	for _, tt := range []struct {
		ran   string
		allow bool
		want  string
	}{
		{"", false, `no program "nobody"`},
		{"1.2.0", true, `no program "nobody"`},
		{"1.2.0", false, `version "1.2.0" ran before, so that it may be older: give --allow-downgrade`},
	} {
		m := stateOnly(t, livingRecord(t, func(r *schemas.Instance) { r.Version = tt.ran }))
		_, err := m.updateLocked(t.Context(), "x", verified(t, "x", objCounter), UpdateOptions{AllowDowngrade: tt.allow, Attach: nobody})
		wantError(t, err, nil, tt.want)
	}
}
