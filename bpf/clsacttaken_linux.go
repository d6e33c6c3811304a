// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// takenError says who has the priority of a filter that the kernel refused, nil
// when that is not why. tc_new_tfilter (net/sched/cls_api.c) answers EEXIST where a
// filter has the handle too, EINVAL where those of the priority are of another
// kind, and ENOSPC where they are for another protocol.
func takenError(h *host, p *placement, refused error) error {
	shared := errors.Is(refused, unix.EEXIST)
	if !shared && !errors.Is(refused, unix.EINVAL) && !errors.Is(refused, unix.ENOSPC) {
		return nil
	}
	priority, handle, err := filterNumbers(p)
	if err != nil || priority == 0 {
		return nil
	}
	dev := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: int(p.link.Ifindex)}}
	all, err := netlink.FilterList(dev, clsactParent(p.option("direction")))
	if err != nil {
		return nil // the kernel's own answer is what is left to say
	}
	for _, f := range all {
		a := f.Attrs()
		if a.Priority != priority || (a.Chain != nil && *a.Chain != 0) {
			continue
		}
		place := fmt.Sprintf("priority %d of %q, %s,", priority, p.link.Target, p.option("direction"))
		if !shared {
			return fmt.Errorf("%s is of another kind of filter, %s: choose another priority: %w", place, h.filterOwner(f), refused)
		}
		if a.Handle == handle {
			return fmt.Errorf("handle %#x at %s is in use by another filter, %s: choose another handle or priority: %w",
				handle, place, h.filterOwner(f), refused)
		}
	}
	return nil
}

// filterOwner describes a filter: whose program it runs, or what it is.
func (h *host) filterOwner(f netlink.Filter) string {
	for _, rec := range h.records {
		for _, prog := range rec.Programs {
			for _, hook := range filterHooks() {
				if prog.ID != 0 && hook.runs(f, prog) {
					return h.owner(prog.ID)
				}
			}
		}
	}
	if bf, ok := f.(*netlink.BpfFilter); ok && bf.Id > 0 {
		return h.owner(uint32(bf.Id))
	}
	return fmt.Sprintf("kind %q for protocol %#04x, which bpfimg did not add", f.Type(), f.Attrs().Protocol)
}
