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

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/schemas"
)

// removal takes an instance out of the kernel. It is the one way back, shared by
// a run that failed, by stop, and by clearing away what a killed command left:
// it works from whatever is there, in the reverse order of a run.
type removal struct {
	m   *Manager
	dir string
	// rec is the record, nil when it is lost or of an earlier boot: then only
	// pins are left to remove.
	rec *schemas.Instance
	ids kernelIDs
}

// remove removes everything of an instance, its record last. It goes on after a
// failure, and then leaves the record for the next try.
func (m *Manager) remove(ctx context.Context, name string, rec *schemas.Instance) error {
	r := &removal{m: m, dir: m.pinDir(name)}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if rec != nil && rec.BootID == boot {
		r.rec = rec
		for _, version := range versions(rec) {
			r.ids.add(version)
		}
		if rec.PinPath != "" {
			r.dir = rec.PinPath
		}
	}
	err = joined.Errors(r.links(ctx), r.unlinked(ctx), r.sockets(ctx), r.pins(ctx))
	if err == nil {
		err = r.leaveShared(name)
	}
	if err == nil {
		err = r.await(ctx)
	}
	if err != nil {
		return err
	}
	if err := m.at(ctx, "forget"); err != nil {
		return err
	}
	return m.forget(name)
}

// links detaches and unpins, last attached first.
func (r *removal) links(ctx context.Context) error {
	paths, err := pinned(r.dir, pinLinks)
	errs := []error{err}
	for _, path := range slices.Backward(paths) {
		if err := r.m.at(ctx, "detach "+filepath.Base(path)); err != nil {
			return joined.Errors(append(errs, err)...)
		}
		errs = append(errs, r.link(path))
	}
	return joined.Errors(errs...)
}

// link detaches one. Detaching is more than unpinning: it also works when
// somebody else has the link open. Links that cannot be detached so (perf events)
// go with their last reference, which await looks for.
func (r *removal) link(path string) error {
	l, err := link.LoadPinnedLink(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return joined.Errors(fmt.Errorf("opening the pinned link %s: %w", path, err), removePath(path))
	}
	if info, err := l.Info(); err == nil {
		r.ids.links = append(r.ids.links, uint32(info.ID))
	}
	if err := l.Detach(); err != nil {
		r.m.log.Debug("a link is left to its last reference", "pin", path, "reason", err)
	}
	return joined.Errors(removePath(path), l.Close())
}

// unlinked removes the attachments that are no links, last attached first.
func (r *removal) unlinked(ctx context.Context) error {
	if r.rec == nil {
		return r.strayFilters(ctx)
	}
	var errs []error
	for _, version := range versions(r.rec) {
		errs = append(errs, r.unlinkedOf(ctx, version))
	}
	return joined.Errors(errs...)
}

// unlinkedOf removes those of one version.
func (r *removal) unlinkedOf(ctx context.Context, version *schemas.Instance) error {
	var errs []error
	known := implementations()
	for _, l := range slices.Backward(version.Links) {
		hook, ok := known[l.Hook].(remover)
		if !ok || l.Via == viaLink || l.Via == viaProcess {
			continue
		}
		if err := r.m.at(ctx, "remove "+l.Via+" "+l.Program); err != nil {
			return joined.Errors(append(errs, err)...)
		}
		errs = append(errs, r.removeIn(ctx, hook, l, version.Programs))
	}
	return joined.Errors(errs...)
}

// strayFilters removes the filters of the pinned programs, and takes the programs
// out of dispatchers, in this network namespace: without a record nobody knows of
// others. A qdisc stays.
func (r *removal) strayFilters(ctx context.Context) error {
	current, err := pinned(r.dir, pinPrograms)
	next, errNext := pinned(filepath.Join(r.dir, pinNext), pinPrograms)
	paths := slices.Concat(current, next)
	if err = joined.Errors(err, errNext); err != nil || len(paths) == 0 {
		return err
	}
	var ids kernelIDs
	for _, path := range paths {
		ids.addPin(path)
	}
	if err := r.m.at(ctx, "remove stray filters"); err != nil {
		return err
	}
	return joined.Errors(removeFilters(ids.programs), r.m.removeComponents(ctx, ids.programs))
}

// removeIn removes one, in the network namespace it is in.
func (r *removal) removeIn(ctx context.Context, hook remover, l schemas.InstanceLink, programs []schemas.InstanceProgram) error {
	i := slices.IndexFunc(programs, func(p schemas.InstanceProgram) bool { return p.Name == l.Program })
	if i < 0 {
		return nil
	}
	path, err := findNetns(l)
	if errors.Is(err, fs.ErrNotExist) {
		// Out of reach. If the namespace is gone, so is the attachment; await tells.
		r.ids.elsewhere = append(r.ids.elsewhere, l)
		if s, ok := hook.(sweeper); ok {
			return s.sweep(ctx, r)
		}
		return nil
	}
	if err != nil {
		return err
	}
	return inNetns(path, func() error { return hook.remove(ctx, r, l, programs[i]) })
}

// pins removes what is left below the instance's folder, and nothing it does not
// know: a file of somebody else there makes removing the folder fail.
func (r *removal) pins(ctx context.Context) error {
	var errs []error
	for _, sub := range slices.Backward(slices.Concat(pinFolders(), updateFolders())) {
		if err := r.m.at(ctx, "unpin "+sub); err != nil {
			return joined.Errors(append(errs, err)...)
		}
		paths, err := pinned(r.dir, sub)
		errs = append(errs, err)
		for _, path := range paths {
			if r.rec == nil {
				r.ids.addPin(path)
			}
			errs = append(errs, removePath(path))
		}
		errs = append(errs, removePath(filepath.Join(r.dir, sub)))
	}
	if _, err := os.Lstat(r.dir); err == nil {
		errs = append(errs, removePath(r.dir))
	}
	return joined.Errors(errs...)
}
