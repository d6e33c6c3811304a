// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// Waiting for the kernel, which frees links, programs and maps in the
// background: some tens of milliseconds after the last reference.
const (
	awaitPoll = 5 * time.Millisecond
	// awaitLinks bounds waiting for attachments to end, which is what stop is
	// for; awaitObjects for programs and maps, which others may hold open.
	awaitLinks   = 5 * time.Second
	awaitObjects = 2 * time.Second
)

// kernelIDs are what an instance had in the kernel.
type kernelIDs struct {
	links, programs, maps []uint32
	// elsewhere are filters in network namespaces this process is not in.
	elsewhere []schemas.InstanceLink
}

func (ids *kernelIDs) add(rec *schemas.Instance) {
	for _, l := range rec.Links {
		for _, part := range l.Parts() {
			if part.ID != 0 {
				ids.links = append(ids.links, part.ID)
			}
		}
	}
	for _, p := range rec.Programs {
		ids.programs = append(ids.programs, p.ID)
	}
	for _, m := range rec.Maps {
		if m.Shared == "" { // others keep the rest
			ids.maps = append(ids.maps, m.ID)
		}
	}
}

// spare takes out what rec has: it stays.
func (ids *kernelIDs) spare(rec *schemas.Instance) {
	var stays kernelIDs
	stays.add(rec)
	drop := func(list, stays []uint32) []uint32 {
		return slices.DeleteFunc(list, func(id uint32) bool { return slices.Contains(stays, id) })
	}
	ids.links, ids.programs, ids.maps = drop(ids.links, stays.links), drop(ids.programs, stays.programs), drop(ids.maps, stays.maps)
}

// addPin adds what a pinned program or map is, when no record tells.
func (ids *kernelIDs) addPin(path string) {
	if p, err := ebpf.LoadPinnedProgram(path, nil); err == nil {
		defer p.Close()
		if info, err := p.Info(); err == nil {
			id, _ := info.ID()
			ids.programs = append(ids.programs, uint32(id))
		}
		return
	}
	if m, err := ebpf.LoadPinnedMap(path, nil); err == nil {
		defer m.Close()
		if info, err := m.Info(); err == nil {
			id, _ := info.ID()
			ids.maps = append(ids.maps, uint32(id))
		}
	}
}

// await waits until the kernel has let go of links (or fails), and of programs
// and maps (or warns).
func (r *removal) await(ctx context.Context) error {
	if err := r.m.at(ctx, "await"); err != nil {
		return err
	}
	if left := waitGone(ctx, awaitLinks, r.ids.links, lookForLink); len(left) > 0 {
		return fmt.Errorf("the kernel still holds links %v: another process has them open; try again when it has ended", left)
	}
	programs := waitGone(ctx, awaitObjects, r.ids.programs, lookForProgram)
	if len(programs) > 0 && len(r.ids.elsewhere) > 0 {
		l := r.ids.elsewhere[0]
		return fmt.Errorf("program %q on %q runs on in another network namespace (inode %d): stop the instance there", l.Program, l.Target, l.Netns)
	}
	maps := waitGone(ctx, awaitObjects, r.ids.maps, lookForMap)
	if len(programs)+len(maps) > 0 {
		r.m.log.Warn("detached, but something else still holds parts of the instance", "programs", programs, "maps", maps)
	}
	return nil
}

// waitGone polls until the kernel knows none of ids, the limit has passed or ctx
// has ended. The answer is those left.
func waitGone(ctx context.Context, limit time.Duration, ids []uint32, look func(uint32) error) []uint32 {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(awaitPoll)
	defer tick.Stop()
	left := slices.Clone(ids)
	for {
		left = slices.DeleteFunc(left, func(id uint32) bool { return gone(id, look) })
		if len(left) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return left
		}
	}
}

// gone says whether the kernel does not know id any more. Without CAP_SYS_ADMIN
// it does not tell, and there is nothing to wait for.
func gone(id uint32, look func(uint32) error) bool {
	err := look(id)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EPERM)
}

func lookForLink(id uint32) error {
	l, err := link.NewFromID(link.ID(id))
	if err != nil {
		return err
	}
	return l.Close()
}

// Programs and maps are looked for among the ids that are in use, and not opened.
// To close the last descriptor of a program array has the kernel empty it soon, and
// who closes another one before it has got to that makes it lose count, so that the
// array and all in it stay forever (prog_array_map_clear in kernel/bpf/arraymap.c:
// it takes a reference for work that is queued already).

func lookForProgram(id uint32) error {
	next, err := ebpf.ProgramGetNextID(ebpf.ProgramID(id - 1))
	return lookedFor(id, uint32(next), err)
}

func lookForMap(id uint32) error {
	next, err := ebpf.MapGetNextID(ebpf.MapID(id - 1))
	return lookedFor(id, uint32(next), err)
}

func lookedFor(id, next uint32, err error) error {
	if err == nil && next != id {
		return fs.ErrNotExist
	}
	return err
}
