// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/schemas"
)

// Values of [schemas.Instance.State].
const (
	stateStarting = "starting"
	stateRunning  = "running"
	stateStopping = "stopping"
	stateUpdating = "updating"
)

// maxRecord bounds a record that is read back, in bytes: far above what the
// limits on programs and maps of an object can make.
const maxRecord = 16 << 20

// recordDir holds one file an instance.
func (m *Manager) recordDir() string { return filepath.Join(m.state, "instances") }

func (m *Manager) recordPath(name string) string {
	return filepath.Join(m.recordDir(), name+".json")
}

// save writes a record so that a reader, or whatever follows a killed process,
// sees the old one or the new one and nothing between. It does not wait for the
// disk: what a record speaks of is in the kernel, and gone with the power too.
func (m *Manager) save(rec *schemas.Instance) error {
	data, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the record of instance %q: %w", rec.Name, err)
	}
	if err := os.MkdirAll(m.recordDir(), 0o700); err != nil {
		return fmt.Errorf("making the folder for records: %w", err)
	}
	if err := replaceFile(m.recordPath(rec.Name), append(data, '\n')); err != nil {
		return fmt.Errorf("writing the record of instance %q: %w", rec.Name, err)
	}
	return nil
}

// replaceFile is for records and what goes with them, which only root may read.
func replaceFile(path string, data []byte) error { return atomicfile.Write(path, data, 0o600) }

// errDamaged: a record that cannot be read back. After a power failure one may
// be empty.
var errDamaged = errors.New("damaged")

// record reads one record; nil without an error when there is none.
func (m *Manager) record(name string) (*schemas.Instance, error) {
	f, err := limited.Open(m.recordPath(name), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the record of instance %q: %w", name, err)
	}
	defer f.Close()
	var rec schemas.Instance
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return nil, fmt.Errorf("reading the record of instance %q: %w", name, err)
	}
	if err := boundedjson.Unmarshal(data, &rec); err != nil {
		return nil, fmt.Errorf("the record of instance %q in %s is %w: %w", name, f.Name(), errDamaged, err)
	}
	if rec.SchemaVersion > schemas.InstanceVersion {
		return nil, fmt.Errorf("the record of instance %q was written by a newer bpfimg (version %d, this one knows %d)",
			name, rec.SchemaVersion, schemas.InstanceVersion)
	}
	if rec.Name != name {
		return nil, fmt.Errorf("the record of instance %q in %s is %w: it names %q", name, f.Name(), errDamaged, rec.Name)
	}
	return &rec, nil
}

// recordNames lists the instances with a record, sorted.
func (m *Manager) recordNames() ([]string, error) {
	entries, err := os.ReadDir(m.recordDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing instances: %w", err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && validName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// records reads all that can be read; damaged ones are left to List and Stop.
func (m *Manager) records() ([]schemas.Instance, error) {
	names, err := m.recordNames()
	if err != nil {
		return nil, err
	}
	var out []schemas.Instance
	for _, name := range names {
		if rec, err := m.record(name); err == nil && rec != nil {
			out = append(out, *rec)
		}
	}
	return out, nil
}

// forget removes a record.
func (m *Manager) forget(name string) error {
	err := os.Remove(m.recordPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the record of instance %q: %w", name, err)
	}
	return nil
}
