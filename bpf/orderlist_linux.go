// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// orderTries is how often a list that somebody else changes meanwhile is read
// again. Each try is two or three system calls.
const orderTries = 100

// lineup is a place where the kernel runs a list of programs.
type lineup struct {
	// what it is, for messages: `tcx ingress of "eth0"`.
	what string
	// query asks for the list. It may read the same place by a descriptor.
	query link.QueryOptions
	// links finds those of programs that are not ours, where the list itself does
	// not tell and anchors must be links; nil elsewhere. 0: no link holds it.
	links func(ctx context.Context, program uint32) (id uint32, err error)
	// attach puts the program there, if the list still has that revision; the error
	// is ESTALE when it has another.
	attach func(s spot, revision uint64) (link.Link, error)
}

// queue is the list of a lineup as it was at one time.
type queue struct {
	what     string
	revision uint64
	entries  []queued
	// instances and owned are all of bpfimg's.
	instances []string
	owned     []owned
}

// queued is one program of a list.
type queued struct {
	// program and link are the kernel's ids; link is 0 for programs that no link
	// holds, and where the kernel does not tell.
	program, link uint32
	// ours is nil for a program that bpfimg did not attach.
	ours *owned
}

var errChanging = errors.New("other programs come and go there so fast that none can be put among them; try again")

// owned is an attachment of ours.
type owned struct {
	// instance is "" for what this run has attached itself.
	instance string
	link     *schemas.InstanceLink
	program  uint32
}

// String lists the programs.
func (q *queue) String() string {
	if len(q.entries) == 0 {
		return "are none"
	}
	var list []string
	for _, e := range q.entries {
		text := fmt.Sprintf("id:%d", e.program)
		if e.ours != nil && e.ours.instance != "" {
			text += fmt.Sprintf(" (%s/%s)", e.ours.instance, e.ours.link.Program)
		}
		list = append(list, text)
	}
	return "run, in this order, " + strings.Join(list, ", ")
}

// read asks the kernel for the list, and says which of it are ours.
func (h *host) read(l lineup) (*queue, error) {
	q := &queue{what: l.what}
	if err := h.ownedLinks(q); err != nil {
		return nil, err
	}
	list, err := queryPrograms(l.query)
	if errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("%w: %s is gone: %w", ErrNoTarget, l.what, err)
	}
	if err != nil {
		return nil, fmt.Errorf("asking what runs on %s: %w", l.what, err)
	}
	q.revision = list.Revision
	for _, p := range list.Programs {
		e := queued{program: uint32(p.ID)}
		if id, ok := p.LinkID(); ok {
			e.link = uint32(id)
		}
		e.ours = q.owner(e)
		if e.link == 0 && e.ours != nil {
			e.link = e.ours.link.ID
		}
		q.entries = append(q.entries, e)
	}
	return q, nil
}

// queryPrograms is [link.QueryPrograms], also where a program is added between its
// two system calls, for number and list (ENOSPC).
func queryPrograms(opts link.QueryOptions) (*link.QueryResult, error) {
	for range orderTries {
		list, err := link.QueryPrograms(opts)
		if !errors.Is(err, unix.ENOSPC) {
			return list, err
		}
	}
	return nil, errChanging
}

// owner looks an entry up: by its link where that is known, else by its program.
func (q *queue) owner(e queued) *owned {
	for i := range q.owned {
		o := &q.owned[i]
		if e.link != 0 && o.link.ID == e.link || e.link == 0 && o.program == e.program {
			return o
		}
	}
	return nil
}

// ownedLinks collects the links of all instances of this boot, and those that this
// run has made already.
func (h *host) ownedLinks(q *queue) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	for i := range h.records {
		q.instances = append(q.instances, h.records[i].Name)
		if h.records[i].BootID != boot {
			continue
		}
		for _, rec := range versions(&h.records[i]) {
			for j := range rec.Links {
				l := &rec.Links[j]
				if prog := programOf(rec, l.Program); l.ID != 0 && prog != nil {
					q.owned = append(q.owned, owned{instance: h.records[i].Name, link: l, program: prog.ID})
				}
			}
		}
	}
	if h.plan == nil || h.objs == nil {
		return nil
	}
	for _, pl := range h.plan.placements {
		for i := range h.objs.programs {
			if p := &h.objs.programs[i]; pl.link.ID != 0 && p.Name == pl.link.Program {
				q.owned = append(q.owned, owned{link: &pl.link, program: p.ID})
			}
		}
	}
	return nil
}

// locate reads the list and finds the program's spot in it.
func (h *host) locate(ctx context.Context, p *placement, l lineup) (spot, *queue, error) {
	w, err := wishOf(p)
	if err != nil {
		return spot{}, nil, err
	}
	q, err := h.read(l)
	if err != nil {
		return spot{}, nil, fmt.Errorf("%s: %w", p, err)
	}
	s, err := w.find(p, q)
	if err != nil {
		return spot{}, nil, err
	}
	if l.links != nil && s.beside != nil {
		if s, err = l.linked(ctx, s, q); err != nil {
			return spot{}, nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	return s, q, nil
}

// linked is the same spot beside a program that a link holds: where lists of links
// and programs are apart, a link has no other anchor.
func (l lineup) linked(ctx context.Context, s spot, q *queue) (spot, error) {
	end := spot{index: s.index, before: s.index == 0}
	neighbour := spot{index: s.index, before: !s.before}
	switch held, err := l.hold(ctx, s.beside); {
	case err != nil || held:
		return s, err
	case s.index == 0 || s.index == len(q.entries):
		return end, nil
	case s.before:
		neighbour.beside = &q.entries[s.index-1]
	default:
		neighbour.beside = &q.entries[s.index]
	}
	held, err := l.hold(ctx, neighbour.beside)
	if err == nil && !held {
		err = fmt.Errorf("%w: programs id:%d and id:%d on %s are attached without links, and the kernel puts none of ours between them",
			ErrNoTarget, s.beside.program, neighbour.beside.program, l.what)
	}
	return neighbour, err
}

// hold looks for the link that holds an entry.
func (l lineup) hold(ctx context.Context, e *queued) (held bool, err error) {
	if e.link == 0 {
		e.link, err = l.links(ctx, e.program)
	}
	if err != nil {
		return false, fmt.Errorf("looking for what holds program id %d on %s: %w", e.program, l.what, err)
	}
	return e.link != 0, nil
}

// checkOrder finds the program's spot before anything is loaded. A program that
// takes the place of another is put into the same link, wherever that is now.
func (h *host) checkOrder(ctx context.Context, p *placement, l lineup) error {
	if p.replaces != 0 {
		_, err := wishOf(p)
		return err
	}
	_, _, err := h.locate(ctx, p, l)
	return err
}

// attachInOrder puts the program at its spot. The kernel compares the list with the
// one that was read; if somebody else changed it, it is read again.
func (h *host) attachInOrder(ctx context.Context, p *placement, l lineup) (link.Link, error) {
	for range orderTries {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("attaching %s: %w", p, context.Cause(ctx))
		}
		s, q, err := h.locate(ctx, p, l)
		if err != nil {
			return nil, err
		}
		held, err := l.attach(s, q.revision)
		if errors.Is(err, unix.ESTALE) {
			continue
		}
		if err == nil {
			recordOrder(p, s, q)
		}
		return held, err
	}
	return nil, &KernelError{Op: "attaching " + p.String(), Err: errChanging}
}
