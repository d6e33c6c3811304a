// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// swap replaces the filter of from by one of to with the same priority and
// handle, which the kernel does in one step (cls_bpf_change). The qdisc stays.
func (tcHook) swap(_ context.Context, _ *Manager, l schemas.InstanceLink, from, to *ebpf.Program) error {
	if there, err := filtersOf(l, to); err != nil || len(there) > 0 {
		return err
	}
	filters, err := filtersOf(l, from)
	if err != nil {
		return err
	}
	if len(filters) == 0 {
		return fmt.Errorf("the filter of program %q on %q: %w", l.Program, l.Target, fs.ErrNotExist)
	}
	was := filters[0].Attrs()
	err = netlink.FilterReplace(tcHook{}.filter(netlink.FilterAttrs{
		LinkIndex: int(l.Ifindex), Parent: clsactParent(l.Options["direction"]),
		Priority: was.Priority, Handle: was.Handle, Protocol: unix.ETH_P_ALL,
	}, to, schemas.InstanceProgram{Name: l.Program}))
	if err != nil {
		return fmt.Errorf("replacing the filter of program %q on %q: %w", l.Program, l.Target, err)
	}
	return nil
}

// filtersOf are the filters that run prog where l says.
func filtersOf(l schemas.InstanceLink, prog *ebpf.Program) ([]netlink.Filter, error) {
	info, err := prog.Info()
	if err != nil {
		return nil, fmt.Errorf("reading back program %q: %w", l.Program, err)
	}
	id, _ := info.ID()
	all, err := ourFilters(tcHook{}, l, schemas.InstanceProgram{Name: l.Program, ID: uint32(id), Tag: info.Tag})
	if err != nil {
		return nil, err
	}
	number := func(f netlink.Filter) bool {
		return l.Options["priority"] != "" && l.Options["priority"] != fmt.Sprint(f.Attrs().Priority)
	}
	return slices.DeleteFunc(all, number), nil
}
