// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// liveOrder is where a program is now in the list of its place, nil where the
// kernel keeps no list or the program is not in it.
func liveOrder(l schemas.InstanceLink) (*schemas.InstanceOrder, error) {
	if l.Via != viaLink {
		return nil, nil
	}
	var held link.Link
	err := fs.ErrNotExist
	if l.Pin != "" {
		held, err = link.LoadPinnedLink(l.Pin, nil)
	} else if l.ID != 0 {
		held, err = link.NewFromID(link.ID(l.ID)) // of a foreground run
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the link of program %q: %w", l.Program, err)
	}
	defer held.Close()
	info, err := held.Info()
	if err != nil || dead(info) {
		return nil, err
	}
	list, err := listAround(l, info)
	if err != nil || list == nil {
		return nil, err
	}
	at := slices.IndexFunc(list.Programs, func(p link.AttachedProgram) bool {
		id, known := p.LinkID()
		return known && id == info.ID || !known && p.ID == info.Program
	})
	if at < 0 {
		return nil, nil
	}
	return &schemas.InstanceOrder{Position: at + 1, Of: len(list.Programs)}, nil
}

// listAround asks for the list that a link is in, nil when it is in none.
func listAround(l schemas.InstanceLink, info *link.Info) (list *link.QueryResult, err error) {
	query := link.QueryOptions{Target: int(l.Ifindex)}
	if tcx := info.TCX(); tcx != nil {
		query.Attach = ebpf.AttachType(tcx.AttachType)
	} else if netkit := info.Netkit(); netkit != nil {
		query.Attach = ebpf.AttachType(netkit.AttachType)
	} else if cgroup := info.Cgroup(); cgroup != nil {
		return cgroupListAround(l, cgroup)
	} else {
		return nil, nil
	}
	path, err := findNetns(l)
	if err != nil {
		return nil, err
	}
	err = inNetns(path, func() (err error) {
		list, err = queryPrograms(query)
		return err
	})
	return list, err
}

// cgroupListAround asks for the programs of the cgroup itself and not of those
// above it.
func cgroupListAround(l schemas.InstanceLink, info *link.CgroupInfo) (*link.QueryResult, error) {
	dir, err := os.Open(l.Target)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil || st.Ino != info.CgroupId {
		return nil, err
	}
	return queryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: ebpf.AttachType(info.AttachType)})
}
