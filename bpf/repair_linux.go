// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// versions are those a record speaks of: one, or two during an update.
func versions(rec *schemas.Instance) []*schemas.Instance {
	if rec.Update == nil {
		return []*schemas.Instance{rec}
	}
	return []*schemas.Instance{rec, &rec.Update.Other}
}

// interrupted says whether rec is of an update that did not end, or is under way.
func interrupted(rec *schemas.Instance) bool {
	return rec.State == stateUpdating && rec.Update != nil
}

// updateRemedy says what repair does.
func updateRemedy(rec *schemas.Instance) string {
	if rec.Update.Committed {
		return "keep the new version, and remove what is left of the old one"
	}
	return "put the old version back, and remove what there is of the new one"
}

// repair brings an instance whose update was killed to one of its two versions. It
// does nothing for others. The lock is held.
func (m *Manager) repair(ctx context.Context, name string) error {
	rec, err := m.record(name)
	if err != nil || rec == nil || !interrupted(rec) {
		return nil // a damaged record is for others to report
	}
	boot, err := bootID()
	if err != nil || rec.BootID != boot {
		return err
	}
	if rec.Update.Committed {
		m.log.Warn("finishing an update that was interrupted: the new version stays", "instance", name)
		err = m.rollForward(ctx, rec)
	} else {
		m.log.Warn("undoing an update that was interrupted: the old version stays", "instance", name)
		err = m.rollBack(ctx, rec)
	}
	if err != nil {
		return fmt.Errorf("an update of instance %q was interrupted, and cannot be brought to an end (`bpfimg stop %s` takes it away): %w", name, name, err)
	}
	return nil
}

// rollBack makes the version of rec the only one, and rec.Update.Other, which was
// on its way, gone. It can be interrupted and begun again.
func (m *Manager) rollBack(ctx context.Context, rec *schemas.Instance) error {
	next := &rec.Update.Other
	if err := m.swapBack(ctx, rec, next); err != nil {
		return err
	}
	return m.retire(ctx, rec, next)
}

// rollForward is the same for a version that has been replaced.
func (m *Manager) rollForward(ctx context.Context, rec *schemas.Instance) error {
	if err := m.at(ctx, "install pins"); err != nil {
		return err
	}
	if err := m.unstage(rec); err != nil {
		return err
	}
	return m.retire(ctx, rec, &rec.Update.Other)
}

// swapBack puts the programs of rec back in the attachments both versions have.
func (m *Manager) swapBack(ctx context.Context, rec, next *schemas.Instance) error {
	for _, l := range slices.Backward(rec.Links) {
		if !slices.Contains(rec.Update.Swapped, l.Program) {
			continue
		}
		if err := m.at(ctx, "swap back "+l.Program); err != nil {
			return err
		}
		err := m.swapBackOne(ctx, l, programOf(rec, l.Program), stagedProgram(next, l.Program))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOLINK), errors.Is(err, errForeign):
			// Nothing of ours is there to be put back; ps says so from now on.
			m.log.Warn("an attachment is not what it was", "instance", rec.Name, "program", l.Program, "error", err)
		case err != nil:
			return fmt.Errorf("putting program %q of instance %q back: %w", l.Program, rec.Name, err)
		}
	}
	return nil
}

func (m *Manager) swapBackOne(ctx context.Context, l schemas.InstanceLink, old, next *schemas.InstanceProgram) error {
	if old == nil || next == nil {
		return nil
	}
	from, err := openProgramOf(*next)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is pinned before it is put anywhere
	}
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openProgramOf(*old)
	if err != nil {
		return err
	}
	defer to.Close()
	return m.exchange(ctx, l, from, to)
}

// stagedProgram is a program of the version to be, by where it is pinned until
// that version counts.
func stagedProgram(next *schemas.Instance, name string) *schemas.InstanceProgram {
	p := programOf(next, name)
	if p == nil {
		return nil
	}
	staged := *p
	staged.Pin = stagedPin(next, p.Pin)
	return &staged
}

// stagedPin is where something is pinned until the version counts.
func stagedPin(rec *schemas.Instance, pin string) string {
	return filepath.Join(rec.PinPath, pinNext, strings.TrimPrefix(pin, rec.PinPath))
}

// retire takes out of the kernel what only one of an update's versions has, and
// records that the other one is all there is.
func (m *Manager) retire(ctx context.Context, stays, goes *schemas.Instance) error {
	r := &removal{m: m, dir: stays.PinPath, rec: goes}
	r.ids.add(goes)
	r.ids.spare(stays)
	gone := *goes
	gone.Links = slices.Clone(goes.Links)
	gone.Links = slices.DeleteFunc(gone.Links, func(l schemas.InstanceLink) bool {
		return slices.Contains(stays.Update.Swapped, l.Program)
	})
	for _, l := range slices.Backward(gone.Links) {
		if err := m.at(ctx, "detach "+l.Program); err != nil {
			return err
		}
		for _, part := range linkParts(r.dir, l) {
			if err := r.link(part); err != nil {
				return err
			}
		}
	}
	if err := r.unlinkedOf(ctx, &gone); err != nil {
		return err
	}
	if err := m.at(ctx, "remove pins"); err != nil {
		return err
	}
	if err := joined.Errors(removeStale(stays, goes), r.leaveShared(goes.Name)); err != nil {
		return err
	}
	if err := r.await(ctx); err != nil {
		return err
	}
	if err := m.at(ctx, "finish"); err != nil {
		return err
	}
	rec := *stays
	rec.State, rec.Update = stateRunning, nil
	return m.save(&rec)
}

// linkParts are the pins of an attachment: the one recorded and, for one of
// several links, those named after it. A record that was made before they were
// attached does not count them.
func linkParts(dir string, l schemas.InstanceLink) []string {
	if l.Pin == "" {
		return nil
	}
	all, err := pinned(dir, pinLinks)
	if err != nil {
		return []string{l.Pin}
	}
	return slices.DeleteFunc(all, func(path string) bool { return pinNumber(path) != pinNumber(l.Pin) })
}

// removeStale removes the pins that only the version has that goes, and the
// folders of the update.
func removeStale(stays, goes *schemas.Instance) error {
	keep := map[string]bool{}
	for _, pin := range objectPins(stays) {
		keep[pin] = true
	}
	var errs []error
	for _, pin := range objectPins(goes) {
		if !keep[pin] {
			errs = append(errs, removePath(pin))
		}
	}
	for _, folder := range slices.Backward(updateFolders()) {
		paths, err := pinned(stays.PinPath, folder)
		errs = append(errs, err)
		for _, path := range paths {
			errs = append(errs, removePath(path))
		}
		errs = append(errs, removePath(filepath.Join(stays.PinPath, folder)))
	}
	return joined.Errors(errs...)
}

// objectPins are the pins of programs and maps.
func objectPins(rec *schemas.Instance) []string {
	var pins []string
	for _, p := range rec.Programs {
		pins = append(pins, p.Pin)
	}
	for _, mp := range rec.Maps {
		pins = append(pins, mp.Pin)
	}
	return pins
}

// stage pins the new programs and maps beside the old ones.
func (u *updating) stage(ctx context.Context) error {
	if err := u.m.at(ctx, "folder"); err != nil {
		return err
	}
	for _, folder := range updateFolders() {
		if err := os.MkdirAll(filepath.Join(u.rec.PinPath, folder), 0o700); err != nil {
			return fmt.Errorf("making the folder for pins: %w", err)
		}
	}
	for _, p := range u.objs.programs {
		if err := u.m.at(ctx, "pin program "+p.Name); err != nil {
			return err
		}
		if err := p.prog.Pin(stagedPin(u.rec, p.Pin)); err != nil {
			return fmt.Errorf("pinning program %q: %w", p.Name, err)
		}
	}
	for _, mp := range u.objs.maps {
		if u.kept(mp.Name) {
			continue // its pin is where it belongs
		}
		if err := u.m.at(ctx, "pin map "+mp.Name); err != nil {
			return err
		}
		if err := mp.m.Pin(stagedPin(u.rec, mp.Pin)); err != nil {
			return fmt.Errorf("pinning map %q: %w", mp.Name, err)
		}
		if u.access.mode == 0 {
			continue
		}
		if err := u.access.give(stagedPin(u.rec, mp.Pin), u.access.mode); err != nil {
			return fmt.Errorf("map %q: %w", mp.Name, err)
		}
	}
	return nil
}

// unstage moves what stage has pinned to where it belongs. A pin of the old
// version there is replaced in one step: whoever opens the path gets one or the
// other.
func (m *Manager) unstage(rec *schemas.Instance) error {
	for _, pin := range objectPins(rec) {
		err := os.Rename(stagedPin(rec, pin), pin)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("putting a pin in its place: %w", err)
		}
	}
	return nil
}
