// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
	"golang.org/x/sys/unix"
)

// Stop detaches an instance, removes its pins and its record, and returns when
// the kernel has let go of its attachments. It works on what is left of an
// instance whose run or stop was killed, whose record is lost or whose interface
// is gone. Errors: [ErrNoInstance], [ErrLocked], [PermissionError]; when it
// fails half-way, the record stays and stop can be tried again.
func (m *Manager) Stop(ctx context.Context, name string) error {
	if !validName(name) {
		return noInstance(name)
	}
	if err := needBPF("stopping instance " + name); err != nil {
		return err
	}
	lock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	return joined.Errors(m.stopLocked(ctx, name), lock.Unlock())
}

// StopAll stops every instance, also those of which only pins or a record are
// left; it goes on when one fails. Instances in another process's foreground are
// left to that process.
func (m *Manager) StopAll(ctx context.Context) error {
	if err := needBPF("stopping all instances"); err != nil {
		return err
	}
	lock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	names, err := m.names()
	errs := []error{err}
	for _, name := range names {
		if err := m.stopLocked(ctx, name); err != nil && !errors.Is(err, errForeground) {
			errs = append(errs, err)
		}
	}
	return joined.Errors(joined.Errors(errs...), lock.Unlock())
}

// errForeground: the instance belongs to a living process.
var errForeground = errors.New("runs in the foreground")

func (m *Manager) stopLocked(ctx context.Context, name string) error {
	rec, err := m.record(name)
	if err != nil {
		// The pins can be removed without it, which is what the person wants.
		m.log.Warn("stopping by the pins alone", "instance", name, "error", err)
	}
	if _, statErr := os.Stat(m.pinDir(name)); statErr != nil && rec == nil && err == nil {
		return noInstance(name)
	}
	if rec != nil {
		pid, err := m.heldBy(rec)
		if err != nil {
			return err
		}
		if pid != "" {
			return fmt.Errorf("instance %q %w of process %s: end that process", name, errForeground, pid)
		}
		if err := m.at(ctx, "mark"); err != nil {
			return err
		}
		rec.State = stateStopping
		if err := m.save(rec); diskFull(err) {
			// Killed from here on, this is found by what is gone: a full disk
			// must not keep a program in the kernel.
			m.log.Warn("stopping without a note of it", "instance", name, "error", err)
		} else if err != nil {
			return err
		}
	}
	if err := m.remove(ctx, name, rec); err != nil {
		return fmt.Errorf("stopping instance %q: %w", name, err)
	}
	return nil
}

// diskFull says whether err is that nothing can be added to a file system, while
// files can still be removed from it.
func diskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// clearStale makes room for a run of that name: it removes what a killed run or
// stop left and records of an earlier boot. A living instance is [ErrExists].
func (m *Manager) clearStale(ctx context.Context, name string) error {
	if err := m.repair(ctx, name); err != nil {
		return err
	}
	rec, err := m.record(name)
	if _, pins := os.Stat(m.pinDir(name)); errors.Is(err, errDamaged) && errors.Is(pins, fs.ErrNotExist) {
		m.log.Warn("clearing away a record of nothing that runs", "instance", name, "error", err)
		return m.forget(name)
	}
	if err != nil {
		return fmt.Errorf("%w; `bpfimg stop %s` clears it away", err, name)
	}
	exists := fmt.Errorf("%w: %q: choose another name with --name, or `bpfimg stop %s` first", ErrExists, name, name)
	if rec == nil {
		if _, err := os.Stat(m.pinDir(name)); err == nil {
			return fmt.Errorf("%w (there are pins without a record in %s)", exists, m.pinDir(name))
		}
		return nil
	}
	why, err := m.staleness(rec)
	if err != nil {
		return err
	}
	if why == "" {
		return exists
	}
	m.log.Warn("clearing away what is left of an earlier instance", "instance", name, "reason", why)
	return m.remove(ctx, name, rec)
}

// staleness says why the record is of nothing that runs, "" when it may be.
func (m *Manager) staleness(rec *schemas.Instance) (string, error) {
	boot, err := bootID()
	if err != nil {
		return "", err
	}
	switch {
	case rec.BootID != boot:
		return "the machine was restarted since", nil
	case rec.State == stateStarting:
		return "its start was interrupted", nil
	case rec.State == stateStopping:
		return "its stop was interrupted", nil
	case !rec.Foreground:
		return "", nil
	}
	pid, err := m.heldBy(rec)
	if err != nil || pid != "" {
		return "", err
	}
	return "the process that ran it in the foreground has ended", nil
}
