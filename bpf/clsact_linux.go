// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// prepareClsact records whether the qdisc will be ours.
func prepareClsact(p *placement) error {
	p.link.Via = viaNetlink
	kind, err := ingressQdisc(p.link.Ifindex)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	switch {
	case kind == "":
		p.addsQdisc, p.link.CreatedQdisc = true, true
	case kind != "clsact" && p.option("direction") == "egress":
		return fmt.Errorf("%s: interface %q has a qdisc %q, which has no egress side and is in the place of clsact: remove it or use via=tcx",
			p, p.link.Target, kind)
	}
	return nil
}

// ingressQdisc is the kind of the qdisc at ffff:fff1 ("clsact" or "ingress"), ""
// when there is none.
func ingressQdisc(ifindex uint32) (string, error) {
	qdiscs, err := netlink.QdiscList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: int(ifindex)}})
	if err != nil {
		return "", fmt.Errorf("listing queueing disciplines: %w", err)
	}
	for _, q := range qdiscs {
		if q.Attrs().Parent == netlink.HANDLE_CLSACT {
			return q.Type(), nil
		}
	}
	return "", nil
}

func clsact(ifindex uint32) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: int(ifindex), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
}

// clsactParent is the side of the qdisc a direction means.
func clsactParent(direction string) uint32 {
	if direction == "egress" {
		return netlink.HANDLE_MIN_EGRESS
	}
	return netlink.HANDLE_MIN_INGRESS
}

// filterHook is a hook whose attachments are filters of the clsact qdisc: what
// differs is the filter.
type filterHook interface {
	// filter is one that runs prog, to be added.
	filter(attrs netlink.FilterAttrs, prog *ebpf.Program, named schemas.InstanceProgram) netlink.Filter
	// runs says whether f, as the kernel lists it, runs the program: by its kernel
	// id, unique in one boot, and by its tag, if that is known, to be sure.
	runs(f netlink.Filter, prog schemas.InstanceProgram) bool
	// lacks says what a kernel without the parts of it lacks.
	lacks() error
}

// filterHooks are all of them.
func filterHooks() []filterHook { return []filterHook{tcHook{}, actionHook{}} }

// attachClsact adds the filter, and the qdisc when the plan said so.
func attachClsact(ctx context.Context, h filterHook, host *host, p *placement, prog *ebpf.Program) error {
	priority, handle, err := filterNumbers(p)
	if err != nil {
		return err
	}
	named, err := loadedAs(p, prog)
	if err != nil {
		return err
	}
	// Nobody removes the qdisc between these steps.
	lock, err := lockQdiscs(ctx, unix.LOCK_SH)
	if err != nil && !errors.Is(err, errQdiscBusy) {
		return err
	}
	if lock != nil {
		defer lock.Close()
	}
	filter := h.filter(netlink.FilterAttrs{
		LinkIndex: int(p.link.Ifindex), Parent: clsactParent(p.option("direction")),
		Priority: priority, Handle: handle, Protocol: unix.ETH_P_ALL,
	}, prog, named)
	if err := addFilter(p, filter); err != nil {
		return clsactError(h, host, p, err)
	}
	return recordFilter(h, p, named)
}

// addFilter adds the qdisc when it is missing, and the filter.
func addFilter(p *placement, filter netlink.Filter) error {
	kind := "not known"
	var last error
	for range addTries {
		if p.addsQdisc || kind == "" {
			err := netlink.QdiscAdd(clsact(p.link.Ifindex))
			if err != nil && !errors.Is(err, unix.EEXIST) {
				return fmt.Errorf("adding the clsact qdisc: %w", err)
			}
			p.link.CreatedQdisc = err == nil // else somebody was faster, and it is theirs
		}
		err := netlink.FilterAdd(filter)
		if err == nil {
			return nil
		}
		last = err
		// Without a qdisc the kernel says EINVAL; by now somebody may have added it.
		var errList error
		kind, errList = ingressQdisc(p.link.Ifindex)
		if errList != nil || (kind != "" && !errors.Is(err, unix.EINVAL)) {
			return err
		}
	}
	return last
}

// addTries bounds how often a qdisc that somebody removes is added again.
const addTries = 5

// recordFilter writes down the priority and handle the kernel chose.
func recordFilter(h filterHook, p *placement, named schemas.InstanceProgram) error {
	filters, err := ourFilters(h, p.link, named)
	if err != nil {
		return fmt.Errorf("%s: reading back the filter: %w", p, err)
	}
	for _, f := range filters {
		p.choose("priority", strconv.Itoa(int(f.Attrs().Priority)))
		p.choose("handle", strconv.FormatUint(uint64(f.Attrs().Handle), 10))
		return nil
	}
	return &KernelError{Op: "attaching " + p.String(), Err: errors.New("the filter was gone as soon as it was added")}
}

// clsactError puts netlink's answer into words.
func clsactError(h filterHook, host *host, p *placement, err error) error {
	if taken := takenError(host, p, err); taken != nil {
		return &KernelError{Op: "attaching " + p.String(), Err: taken}
	}
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("attaching %s: %w", p, h.lacks())
	}
	return attachError(p, "BPF filters of traffic control", "4.5", err)
}

// ourFilters are the filters on the link's interface and side that run the
// program.
func ourFilters(h filterHook, l schemas.InstanceLink, prog schemas.InstanceProgram) ([]netlink.Filter, error) {
	dev := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: int(l.Ifindex)}}
	all, err := netlink.FilterList(dev, clsactParent(l.Options["direction"]))
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return nil, nil // no such interface, or no qdisc to hold filters
	}
	if err != nil {
		return nil, fmt.Errorf("listing filters of interface %q: %w", l.Target, err)
	}
	return slices.DeleteFunc(all, func(f netlink.Filter) bool { return !h.runs(f, prog) }), nil
}

// detachClsact removes the filters of one program, and nobody else's. The answer
// says whether there were any.
func detachClsact(h filterHook, l schemas.InstanceLink, prog schemas.InstanceProgram) (bool, error) {
	filters, err := ourFilters(h, l, prog)
	if err != nil {
		return false, err
	}
	for _, f := range filters {
		f.Attrs().LinkIndex, f.Attrs().Parent = int(l.Ifindex), clsactParent(l.Options["direction"])
		if err := netlink.FilterDel(f); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			return true, fmt.Errorf("removing the filter of program %q from %q: %w", l.Program, l.Target, err)
		}
	}
	return len(filters) > 0, nil
}

// clsactUsed says whether the interface's clsact qdisc holds any filter.
func clsactUsed(ifindex uint32) (bool, error) {
	dev := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: int(ifindex)}}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(dev, parent)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
			return true, fmt.Errorf("listing filters: %w", err)
		}
		if len(filters) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// removeClsact removes one program's filter, and the qdisc if it was made for it
// and holds nothing else.
func removeClsact(ctx context.Context, h filterHook, r *removal, l schemas.InstanceLink, prog schemas.InstanceProgram) error {
	found, err := detachClsact(h, l, prog)
	if err != nil || !l.CreatedQdisc {
		return err
	}
	// An interface index can come back with another interface.
	dev, err := netlink.LinkByIndex(int(l.Ifindex))
	if err != nil || (!found && dev.Attrs().Name != l.Target) {
		return nil // no interface, no qdisc
	}
	lock, err := lockQdiscs(ctx, unix.LOCK_EX)
	if errors.Is(err, errQdiscBusy) {
		r.m.log.Warn("leaving an empty clsact qdisc, since somebody may be about to use it", "interface", l.Target, "reason", err)
		return nil
	}
	if err != nil {
		return err
	}
	return joined.Errors(removeQdisc(r, l), lock.Close())
}

// removeQdisc removes the qdisc unless somebody uses it. A filter of another tool
// that comes in the instant between goes with it: the kernel has no way to remove a
// qdisc only if it is empty.
func removeQdisc(r *removal, l schemas.InstanceLink) error {
	if kind, err := ingressQdisc(l.Ifindex); err != nil || kind != "clsact" {
		return err
	}
	used, err := clsactUsed(l.Ifindex)
	if err != nil {
		return err
	}
	if used {
		return r.bequeath(l)
	}
	err = netlink.QdiscDel(clsact(l.Ifindex))
	if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("removing the clsact qdisc of %q: %w", l.Target, err)
	}
	return nil // the last three: somebody removed it, or the interface
}

// bequeath makes another instance with a filter in the same qdisc its owner.
func (r *removal) bequeath(l schemas.InstanceLink) error {
	records, err := r.m.records()
	if err != nil {
		return err
	}
	known := implementations()
	for _, rec := range records {
		if rec.Name == r.rec.Name || rec.BootID != r.rec.BootID {
			continue
		}
		for i, other := range rec.Links {
			_, filters := known[other.Hook].(filterHook)
			if filters && other.Via == viaNetlink && other.Ifindex == l.Ifindex && other.Netns == l.Netns {
				rec.Links[i].CreatedQdisc = true
				return r.m.save(&rec)
			}
		}
	}
	return nil
}

// clsactGone looks for the filter.
func clsactGone(h filterHook, l schemas.InstanceLink, prog schemas.InstanceProgram) string {
	filters, err := ourFilters(h, l, prog)
	switch {
	case err != nil:
		return err.Error()
	case len(filters) == 0:
		return fmt.Sprintf("the filter of program %q on %q is gone: somebody removed it, or the interface", l.Program, l.Target)
	}
	return ""
}

// removeFilters removes every filter in this network namespace that runs one of
// the programs.
func removeFilters(programs []uint32) error {
	devices, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing interfaces: %w", err)
	}
	var errs []error
	for _, dev := range devices {
		for _, direction := range []string{"ingress", "egress"} {
			l := schemas.InstanceLink{
				Target: dev.Attrs().Name, Ifindex: uint32(dev.Attrs().Index), Options: map[string]string{"direction": direction},
			}
			for _, h := range filterHooks() {
				for _, id := range programs {
					_, err := detachClsact(h, l, schemas.InstanceProgram{ID: id})
					errs = append(errs, err)
				}
			}
		}
	}
	return joined.Errors(errs...)
}
