// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/bpfimg/bpfimg/schemas"
)

// List compares every instance with the kernel, sorted by name: those with a
// record, and folders of pins without one.
func (m *Manager) List(ctx context.Context) ([]Status, error) {
	names, err := m.names()
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	var out []Status
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("listing instances: %w", err)
		}
		out = append(out, m.status(name, boot))
	}
	return out, nil
}

// names of all instances: of records, and of pin folders without one.
func (m *Manager) names() ([]string, error) {
	names, err := m.recordNames()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(m.bpffs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing pins: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && validName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// status compares one instance with the kernel.
func (m *Manager) status(name, boot string) Status {
	s := Status{Instance: schemas.Instance{Name: name, PinPath: m.pinDir(name)}}
	rec, err := m.record(name)
	switch {
	case err != nil:
		s.Problems = append(s.Problems, fmt.Sprintf("%v; `bpfimg stop %s` clears it away", err, name))
		return s
	case rec == nil:
		s.Problems = append(s.Problems, fmt.Sprintf("there are pins without a record in %s; `bpfimg stop %s` removes them", s.PinPath, name))
		return s
	}
	s.Instance = *rec
	if rec.BootID != boot {
		s.Problems = append(s.Problems, "the machine was restarted since: nothing of it runs; run it again, or stop it to forget it")
		return s
	}
	if why, err := m.staleness(rec); err == nil && why != "" {
		s.Problems = append(s.Problems, fmt.Sprintf("%s, or is under way; `bpfimg stop %s` clears it away", why, name))
	}
	if interrupted(rec) {
		s.Problems = append(s.Problems, fmt.Sprintf("its update was interrupted, or is under way; `bpfimg doctor --fix` or another update brings it to an end, `bpfimg stop %s` takes it away", name))
		return s
	}
	s.Problems = append(s.Problems, problems(rec)...)
	s.Runs, s.Counting = instanceRuns(rec), statsEnabled()
	return s
}
