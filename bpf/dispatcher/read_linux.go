// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// maxTries is how often something is started over because somebody else changed
// the interface meanwhile. Who changes it holds the lock for a part of the time
// only, so more than a few in a row mean that something else is wrong.
const maxTries = 20

// Read says what is on the XDP slot of the interface ifindex of the calling
// thread's network namespace. It changes nothing, takes no lock and needs no pins.
// The error wraps ENODEV when there is no such interface.
func Read(ctx context.Context, ifindex int) (State, error) {
	folders, err := Options{}.folder()
	if err != nil {
		return State{}, err
	}
	s, err := read(ctx, ifindex, folders)
	if err != nil {
		return State{}, err
	}
	return s.state(), s.close()
}

// snapshot is what is on an interface, opened.
type snapshot struct {
	ifindex    int
	dispatcher *opened // nil when there is none
	id         uint32  // of the dispatcher
	mode       string  // of the dispatcher, or of away
	components []component
	single     []Single
	// away is a program without a dispatcher that is to be replaced, nil for none.
	away *ebpf.Program
}

// before is what a dispatcher will take the place of, nil for nothing.
func (s *snapshot) before() *ebpf.Program {
	if s.dispatcher != nil {
		return s.dispatcher.prog
	}
	return s.away
}

// component is a program of a chain, or one that shall be.
type component struct {
	Program
	prog     *ebpf.Program
	loaded   bool
	loadTime time.Duration
	borrowed bool // not ours to close
}

func (c component) place() place {
	return place{priority: c.Priority, name: c.Name, loaded: c.loaded, tag: c.Tag, loadTime: c.loadTime}
}

func (s *snapshot) close() error {
	var errs []error
	if s.dispatcher != nil {
		errs = append(errs, s.dispatcher.prog.Close())
	}
	if s.away != nil {
		errs = append(errs, s.away.Close())
	}
	for _, c := range s.components {
		if !c.borrowed {
			errs = append(errs, c.prog.Close())
		}
	}
	return joined.Errors(errs...)
}

func (s *snapshot) state() State {
	state := State{Single: s.single}
	if s.dispatcher != nil {
		state.Chain = &Chain{
			Ifindex: s.ifindex, Mode: s.mode, ID: s.id, Version: s.dispatcher.config.version,
			Frags: s.dispatcher.config.frags, Programs: programs(s.components),
		}
	}
	return state
}

func programs(components []component) []Program {
	var list []Program
	for _, c := range components {
		list = append(list, c.Program)
	}
	return list
}

// read looks at an interface until nothing changes while it looks.
func read(ctx context.Context, ifindex int, folders string) (*snapshot, error) {
	for range maxTries {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		slot, err := slotOf(ifindex)
		if err != nil {
			return nil, err
		}
		s := &snapshot{ifindex: ifindex}
		err = s.fill(ctx, slot, folders)
		if err == nil {
			// Who took the dispatcher away meanwhile may have taken components too.
			if now, again := slotOf(ifindex); again == nil && slices.Equal(slot, now) {
				return s, nil
			}
		}
		if closing := s.close(); err != nil && !gone(err) || closing != nil {
			return nil, joined.Errors(err, closing)
		}
	}
	return nil, fmt.Errorf("interface %d: what is in its XDP slot keeps changing: %w", ifindex, unix.EBUSY)
}

func (s *snapshot) fill(ctx context.Context, slot []attached, folders string) error {
	for _, a := range slot {
		d, name, err := openDispatcher(a.id)
		if err != nil {
			return err
		}
		if d == nil || s.dispatcher != nil {
			held, err := heldByLink(ctx, s.ifindex, a.id)
			if d != nil {
				err = joined.Errors(err, d.prog.Close())
			}
			if err != nil {
				return err
			}
			s.single = append(s.single, Single{ID: a.id, Name: name, Mode: a.mode, Link: held})
			continue
		}
		s.dispatcher, s.id, s.mode = d, a.id, a.mode
	}
	if s.dispatcher == nil {
		return nil
	}
	list, err := components(ctx, s.id, s.dispatcher, filepath.Join(folders, folderName(s.ifindex, s.id)))
	if err != nil {
		return err
	}
	for _, l := range list {
		c, err := openComponent(l, s.dispatcher.config.slots[l.slot])
		if err != nil {
			return err
		}
		s.components = append(s.components, c)
	}
	return nil
}

func openComponent(l linked, c slotConfig) (component, error) {
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(l.program))
	if err != nil {
		return component{}, fmt.Errorf("opening program %d: %w", l.program, err)
	}
	info, err := prog.Info()
	if err != nil {
		return component{}, joined.Errors(fmt.Errorf("reading program %d: %w", l.program, err), prog.Close())
	}
	loaded, _ := info.LoadTime()
	return component{
		Program: Program{
			Slot: l.slot, ID: l.program, Name: info.Name, Tag: info.Tag,
			Priority: c.priority, ProceedOn: c.proceedOn, Frags: c.frags,
		},
		prog: prog, loaded: true, loadTime: loaded,
	}, nil
}
