// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/schemas"
)

// Patience and pace of waiting for the kernel.
const (
	waitAtMost = 40 * time.Second
	waitStep   = 20 * time.Millisecond
)

// poll calls f until it succeeds or patience ends, and returns its last error.
func poll(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	ticker := time.NewTicker(waitStep)
	defer ticker.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// goneOf checks that the kernel does not know the ids of an instance that was
// stopped. Of its links that is so when stop returns, which waits for it. Programs
// and maps may be held a little longer, by whoever is just listing all there are.
func goneOf(ctx context.Context, in schemas.Instance) error {
	var errs []error
	for _, l := range in.Links {
		for _, part := range l.Parts() {
			if part.ID != 0 {
				errs = append(errs, gone("the link of "+l.Program, part.ID,
					func() (io.Closer, error) { return link.NewFromID(link.ID(part.ID)) }))
			}
		}
	}
	objects := func() error {
		var errs []error
		for _, p := range in.Programs {
			errs = append(errs, gone("program "+p.Name, p.ID,
				func() (io.Closer, error) { return ebpf.NewProgramFromID(ebpf.ProgramID(p.ID)) }))
		}
		for _, m := range in.Maps {
			errs = append(errs, gone("map "+m.Name, m.ID,
				func() (io.Closer, error) { return ebpf.NewMapFromID(ebpf.MapID(m.ID)) }))
		}
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, poll(ctx, objects))...)
}

// gone is an error when there is something of that id.
func gone(what string, id uint32, open func() (io.Closer, error)) error {
	c, err := open()
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("after stop: %s (id %d) is left", what, id), c.Close())
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return fmt.Errorf("after stop: asking for %s (id %d): %w", what, id, err)
}

// left says what there is of instances: a record, a pin and, where nothing else
// uses BPF, any program or link.
func (g *engine) left(ctx context.Context) error {
	records, err := filepath.Glob(filepath.Join(g.dir, "state", "instances", "*.json"))
	if err != nil {
		return err
	}
	for _, name := range records {
		err = errors.Join(err, fmt.Errorf("left: record %s", name))
	}
	if err := errors.Join(err, pinsLeft(g.alone)); err != nil || !g.alone {
		return err
	}
	// What a test of the kernel's abilities has loaded goes a moment later.
	return poll(ctx, noBPF)
}

// pinsLeft says which pins there are: of the suite, or any.
func pinsLeft(all bool) error {
	root := pins
	if all {
		root = bpffs
	}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil && !d.IsDir() {
			err = fmt.Errorf("left: pin %s", path)
		}
		return err
	})
}

// noBPF says whether the kernel holds any program or link.
func noBPF() error {
	switch id, err := ebpf.ProgramGetNextID(0); {
	case err == nil:
		return fmt.Errorf("left: program %d", id)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("listing programs: %w", err)
	}
	links := new(link.Iterator)
	defer links.Close()
	if links.Next() {
		return fmt.Errorf("left: link %d", links.ID)
	}
	return links.Err()
}

// clear takes everything away, so that the next row can run.
func (g *engine) clear(ctx context.Context) error {
	_, err := g.call(context.WithoutCancel(ctx), "stop", "--all")
	return err
}

// network describes what bpfimg could leave in the network: programs and queueing
// disciplines of every interface.
func network() (string, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return "", fmt.Errorf("listing interfaces: %w", err)
	}
	var b strings.Builder
	for _, l := range links {
		xdp := 0
		if x := l.Attrs().Xdp; x != nil {
			xdp = int(x.ProgId)
		}
		fmt.Fprintf(&b, "%s: XDP program %d", l.Attrs().Name, xdp)
		qdiscs, err := netlink.QdiscList(l)
		if err != nil {
			return "", fmt.Errorf("listing queueing disciplines of %s: %w", l.Attrs().Name, err)
		}
		for _, q := range qdiscs {
			fmt.Fprintf(&b, ", qdisc %s", q.Type())
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}
