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

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

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
		r.ids.add(rec)
		if rec.PinPath != "" {
			r.dir = rec.PinPath
		}
	}
	err = join(r.links(ctx), r.filters(ctx), r.pins(ctx))
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
			return join(append(errs, err)...)
		}
		errs = append(errs, r.link(path))
	}
	return join(errs...)
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
		return join(fmt.Errorf("opening the pinned link %s: %w", path, err), removePath(path))
	}
	if info, err := l.Info(); err == nil {
		r.ids.links = append(r.ids.links, uint32(info.ID))
	}
	if err := l.Detach(); err != nil {
		r.m.log.Debug("a link is left to its last reference", "pin", path, "reason", err)
	}
	return join(removePath(path), l.Close())
}

// filters removes the attachments that are no links.
func (r *removal) filters(ctx context.Context) error {
	if r.rec == nil {
		return nil
	}
	var errs []error
	for _, l := range slices.Backward(r.rec.Links) {
		if l.Via != viaNetlink {
			continue
		}
		if err := r.m.at(ctx, "remove filter "+l.Program); err != nil {
			return join(append(errs, err)...)
		}
		errs = append(errs, r.filter(l))
	}
	return join(errs...)
}

// filter removes one program's filter, and the qdisc if it was made for it and
// holds nothing else.
func (r *removal) filter(l schemas.InstanceLink) error {
	ns, err := currentNetns()
	if err != nil {
		return err
	}
	if ns != l.Netns {
		// Out of reach. If the namespace is gone, so is the filter; await tells.
		r.ids.elsewhere = append(r.ids.elsewhere, l)
		return nil
	}
	i := slices.IndexFunc(r.rec.Programs, func(p schemas.InstanceProgram) bool { return p.Name == l.Program })
	if i < 0 {
		return nil
	}
	found, err := detachClsact(l, r.rec.Programs[i])
	if err != nil || !l.CreatedQdisc {
		return err
	}
	// An interface index can come back with another interface.
	dev, err := netlink.LinkByIndex(int(l.Ifindex))
	if err != nil || (!found && dev.Attrs().Name != l.Target) {
		return nil // no interface, no qdisc
	}
	used, err := clsactUsed(l.Ifindex)
	if err != nil {
		return err
	}
	if used {
		return r.bequeath(l)
	}
	if kind, err := ingressQdisc(l.Ifindex); err != nil || kind != "clsact" {
		return err
	}
	if err := netlink.QdiscDel(clsact(l.Ifindex)); err != nil {
		return fmt.Errorf("removing the clsact qdisc of %q: %w", l.Target, err)
	}
	return nil
}

// bequeath makes another instance with a filter in the same qdisc its owner.
func (r *removal) bequeath(l schemas.InstanceLink) error {
	records, err := r.m.records()
	if err != nil {
		return err
	}
	for _, rec := range records {
		if rec.Name == r.rec.Name || rec.BootID != r.rec.BootID {
			continue
		}
		for i, other := range rec.Links {
			if other.Via == viaNetlink && other.Ifindex == l.Ifindex && other.Netns == l.Netns {
				rec.Links[i].CreatedQdisc = true
				return r.m.save(&rec)
			}
		}
	}
	return nil
}

// pins removes what is left below the instance's folder, and nothing it does not
// know: a file of somebody else there makes removing the folder fail.
func (r *removal) pins(ctx context.Context) error {
	var errs []error
	for _, sub := range slices.Backward(pinFolders()) {
		if err := r.m.at(ctx, "unpin "+sub); err != nil {
			return join(append(errs, err)...)
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
	return join(errs...)
}
