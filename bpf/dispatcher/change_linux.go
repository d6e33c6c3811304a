// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// New is a program to be put into a chain.
type New struct {
	// Program is loaded as type EXT against [Dispatchers.Target]. It stays the
	// caller's to close.
	Program *ebpf.Program
	// Name is the name of its function; by default the kernel's.
	Name string
	// Priority says where it runs; lower ones run earlier.
	Priority uint32
	// ProceedOn are its results after which the next program runs.
	ProceedOn Actions
	// Frags says that it takes packets in several buffers.
	Frags bool
	// Replace is the kernel's id of a program without a dispatcher that
	// [Dispatchers.Add] puts away in the same step, 0 for none.
	Replace uint32
}

func (n New) component() (component, error) {
	if n.Program == nil || n.Program.Type() != ebpf.Extension {
		return component{}, errors.New("a program for a chain is loaded as type EXT, this one is not")
	}
	info, err := n.Program.Info()
	if err != nil {
		return component{}, fmt.Errorf("reading the new program: %w", err)
	}
	id, _ := info.ID()
	loaded, _ := info.LoadTime()
	if n.Name == "" {
		n.Name = info.Name
	}
	return component{
		Program: Program{
			ID: uint32(id), Name: n.Name, Tag: info.Tag,
			Priority: n.Priority, ProceedOn: n.ProceedOn &^ proceedOnStub, Frags: n.Frags,
		},
		prog: n.Program, loadTime: loaded, borrowed: true,
	}, nil
}

// Add puts n into the chain of the interface, by its priority. The first one
// brings a dispatcher, attached by mode; mode "" is that of the chain that is
// there, or native where the driver can and else generic. The errors are
// [ErrFull], [ErrVersion], [SingleError], ENODEV and what the kernel says.
func (d *Dispatchers) Add(ctx context.Context, ifindex int, mode string, n New) (Chain, error) {
	if mode != "" && mode != ModeNative && mode != ModeGeneric {
		return Chain{}, fmt.Errorf("a dispatcher is not attached in mode %q, only in %s or %s", mode, ModeNative, ModeGeneric)
	}
	added, err := n.component()
	if err != nil {
		return Chain{}, err
	}
	return d.change(ctx, ifindex, mode, n.Replace, func(s *snapshot) ([]component, error) {
		switch {
		case len(s.components) >= Slots:
			return nil, fmt.Errorf("interface %d: %w: it runs %d programs already", ifindex, ErrFull, Slots)
		case s.before() != nil && mode != "" && mode != s.mode:
			return nil, fmt.Errorf("what is on interface %d is there in %s mode, not in %s", ifindex, s.mode, mode)
		case s.index(added.ID) >= 0:
			return nil, alreadyThere(ifindex, added)
		}
		return append(slices.Clone(s.components), added), nil
	})
}

// Remove takes the program out of the chain, and the last one the dispatcher with
// it. The error is [ErrGone] when it is not there, or the interface is not.
func (d *Dispatchers) Remove(ctx context.Context, ifindex int, programID uint32) error {
	_, err := d.change(ctx, ifindex, "", 0, func(s *snapshot) ([]component, error) {
		i := s.index(programID)
		if i < 0 {
			return nil, fmt.Errorf("interface %d: %w: program %d", ifindex, ErrGone, programID)
		}
		return slices.Delete(slices.Clone(s.components), i, i+1), nil
	})
	if errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// Exchange puts to in the place of the program from, in one step: every packet
// meets one of the two. The error is [ErrGone] when from is not there.
func (d *Dispatchers) Exchange(ctx context.Context, ifindex int, from uint32, to New) (Chain, error) {
	added, err := to.component()
	if err != nil {
		return Chain{}, err
	}
	return d.change(ctx, ifindex, "", 0, func(s *snapshot) ([]component, error) {
		i := s.index(from)
		if i < 0 {
			return nil, fmt.Errorf("interface %d: %w: program %d", ifindex, ErrGone, from)
		}
		if s.index(added.ID) >= 0 {
			return nil, alreadyThere(ifindex, added)
		}
		list := slices.Clone(s.components)
		list[i] = added
		return list, nil
	})
}

func alreadyThere(ifindex int, c component) error {
	return fmt.Errorf("interface %d: program %d %q is in the chain already", ifindex, c.ID, c.Name)
}

func (s *snapshot) index(program uint32) int {
	return slices.IndexFunc(s.components, func(c component) bool { return c.ID == program })
}

// errChanged says that somebody else changed the interface since it was read.
var errChanged = errors.New("changed meanwhile")

// change reads the chain, has it edited and puts the result in its place, all of
// it again when somebody changed the interface meanwhile: users of the protocol
// hold the lock while they pin, not while they attach.
func (d *Dispatchers) change(ctx context.Context, ifindex int, mode string, away uint32, edit func(*snapshot) ([]component, error)) (Chain, error) {
	var err error
	for range maxTries {
		if ctx.Err() != nil {
			return Chain{}, context.Cause(ctx)
		}
		var chain Chain
		if chain, err = d.attempt(ctx, ifindex, mode, away, edit); !errors.Is(err, errChanged) {
			return chain, err
		}
	}
	return Chain{}, err
}

func (d *Dispatchers) attempt(ctx context.Context, ifindex int, mode string, away uint32, edit func(*snapshot) ([]component, error)) (chain Chain, err error) {
	s, err := read(ctx, ifindex, d.folder)
	if err != nil {
		return Chain{}, err
	}
	defer func() { err = joined.Errors(err, s.close()) }()
	if err := s.putAway(away); err != nil {
		return Chain{}, err
	}
	if err := s.replaceable(); err != nil {
		return Chain{}, err
	}
	list, err := edit(s)
	if err != nil {
		return Chain{}, err
	}
	if s.dispatcher != nil {
		held, err := heldByLink(ctx, ifindex, s.id)
		if err != nil {
			return Chain{}, err
		}
		if held {
			return Chain{}, fmt.Errorf("interface %d: a bpf_link holds dispatcher %d there, and only who has the link can replace it: %w", ifindex, s.id, unix.EBUSY)
		}
	}
	if len(list) == 0 {
		return Chain{}, d.detach(s)
	}
	sortByPlace(list, component.place)
	for i := range list {
		list[i].Slot = i
	}
	return d.replace(s, list, mode)
}

// putAway takes a program that is no dispatcher for what is to be replaced, if it
// is there and not held by a bpf_link.
func (s *snapshot) putAway(id uint32) error {
	i := slices.IndexFunc(s.single, func(one Single) bool { return one.ID == id && one.Mode != ModeOffload && !one.Link })
	if id == 0 || i < 0 || s.dispatcher != nil {
		return nil
	}
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return fmt.Errorf("opening program %d: %w", id, err)
	}
	s.away, s.mode = prog, s.single[i].Mode
	s.single = slices.Delete(s.single, i, i+1)
	return nil
}

// replaceable refuses what must be left alone. A program in the device itself runs
// before the slot and leaves room for a dispatcher.
func (s *snapshot) replaceable() error {
	for _, one := range s.single {
		if one.Mode != ModeOffload {
			return fmt.Errorf("interface %d: %w", s.ifindex, &SingleError{one})
		}
	}
	if s.dispatcher != nil && s.dispatcher.config.version != Version {
		return fmt.Errorf("interface %d: %w: dispatcher %d is of version %d, this is version %d; take its programs away with the tool that put them there",
			s.ifindex, ErrVersion, s.id, s.dispatcher.config.version, Version)
	}
	return nil
}
