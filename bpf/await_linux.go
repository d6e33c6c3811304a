// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	if left := waitGone(ctx, awaitLinks, r.ids.links, openLink); len(left) > 0 {
		return fmt.Errorf("the kernel still holds links %v: another process has them open; try again when it has ended", left)
	}
	programs := waitGone(ctx, awaitObjects, r.ids.programs, openProgram)
	if len(programs) > 0 && len(r.ids.elsewhere) > 0 {
		l := r.ids.elsewhere[0]
		return fmt.Errorf("the filter of program %q on %q is in another network namespace (inode %d): stop the instance there", l.Program, l.Target, l.Netns)
	}
	maps := waitGone(ctx, awaitObjects, r.ids.maps, openMap)
	if len(programs)+len(maps) > 0 {
		r.m.log.Warn("detached, but something else still holds parts of the instance", "programs", programs, "maps", maps)
	}
	return nil
}

// waitGone polls until none of ids can be opened, the limit has passed or ctx
// has ended. The answer is those left.
func waitGone(ctx context.Context, limit time.Duration, ids []uint32, open func(uint32) (io.Closer, error)) []uint32 {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(awaitPoll)
	defer tick.Stop()
	left := slices.Clone(ids)
	for {
		left = slices.DeleteFunc(left, func(id uint32) bool { return gone(id, open) })
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
func gone(id uint32, open func(uint32) (io.Closer, error)) bool {
	c, err := open(id)
	if err == nil {
		return c.Close() != nil // never fails, and if it did asking again would not help
	}
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EPERM)
}

func openLink(id uint32) (io.Closer, error)    { return link.NewFromID(link.ID(id)) }
func openProgram(id uint32) (io.Closer, error) { return ebpf.NewProgramFromID(ebpf.ProgramID(id)) }
func openMap(id uint32) (io.Closer, error)     { return ebpf.NewMapFromID(ebpf.MapID(id)) }
