// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
)

// Manager runs, lists and stops instances. It is safe for concurrent use, also by
// several processes: changes are serialised by a lock in the state folder.
//
// Network interfaces are those of the calling thread's network namespace.
type Manager struct {
	bpffs, state string
	log          *slog.Logger
	lockWait     time.Duration
	step         func(name string) error

	withoutKernelBTF bool
}

// Open returns a manager; it touches neither disk nor kernel.
func Open(opts Options) (*Manager, error) {
	if opts.State == "" {
		return nil, errors.New("opening the instances: no state folder is given")
	}
	m := &Manager{log: opts.Log, lockWait: opts.LockWait, step: opts.step, withoutKernelBTF: opts.withoutKernelBTF}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if m.lockWait <= 0 {
		m.lockWait = defaultLockWait
	}
	bpffs := opts.BPFFS
	if bpffs == "" {
		bpffs = defaultBPFFS
	}
	var errBPFFS, errState error
	m.bpffs, errBPFFS = filepath.Abs(bpffs)
	m.state, errState = filepath.Abs(opts.State)
	if err := joined.Errors(errBPFFS, errState); err != nil {
		return nil, fmt.Errorf("opening the instances: %w", err)
	}
	return m, nil
}

// at is called before every step that changes something.
func (m *Manager) at(ctx context.Context, step string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("before step %q: %w", step, context.Cause(ctx))
	}
	if m.step != nil {
		return m.step(step)
	}
	return nil
}

func (m *Manager) pinDir(name string) string { return filepath.Join(m.bpffs, name) }

// host gathers what hooks need to know.
func (m *Manager) host() (*host, error) {
	records, err := m.records()
	if err != nil {
		return nil, err
	}
	return &host{log: m.log, records: records, manager: m}, nil
}

// Get returns one instance compared with the kernel; [ErrNoInstance] when there
// is no record and no pin of it.
func (m *Manager) Get(ctx context.Context, name string) (Status, error) {
	all, err := m.List(ctx)
	if err != nil {
		return Status{}, err
	}
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
	}
	return Status{}, noInstance(name)
}

// Maps lists the maps of one instance, in load order.
func (m *Manager) Maps(_ context.Context, instance string) ([]schemas.InstanceMap, error) {
	rec, err := m.existing(instance)
	if err != nil {
		return nil, err
	}
	return rec.Maps, nil
}

// existing reads the record of an instance that must be there.
func (m *Manager) existing(name string) (*schemas.Instance, error) {
	if !validName(name) {
		return nil, noInstance(name)
	}
	rec, err := m.record(name)
	if err == nil && rec == nil {
		err = noInstance(name)
	}
	return rec, err
}

func noInstance(name string) error { return fmt.Errorf("%w: %q", ErrNoInstance, name) }
