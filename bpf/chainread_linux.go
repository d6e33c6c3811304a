// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

// chainReader reads the chains of one network namespace, that of the calling
// thread.
type chainReader struct {
	netns    uint64
	ours     map[uint32]ownProgram
	programs map[uint32]programFacts

	// meanwhile, if not nil, is called before the list of filters is read: how tests
	// change a chain that is being read.
	meanwhile func()
}

func (m *Manager) chainReader() (*chainReader, error) {
	ours, err := m.ownPrograms()
	if err != nil {
		return nil, err
	}
	netns, err := currentNetns()
	if err != nil {
		return nil, err
	}
	return &chainReader{netns: netns, ours: ours, programs: map[uint32]programFacts{}}, nil
}

// snapshot is a chain by ids alone, and the revisions of those of its lists that
// have one.
type snapshot struct {
	chain     Chain
	revisions []uint64
}

// errUnsteady: something changed while it was read.
var errUnsteady = errors.New("it changes all the time")

// read takes snapshots until two in a row are the same: a chain is asked for in
// several system calls. What its programs are is found out between the two, while
// they are there. Unless thorough, an interface without any is looked at once.
func (r *chainReader) read(ctx context.Context, ifindex int, thorough bool) (Chain, error) {
	var last *snapshot
	for range chainAttempts {
		if err := ctx.Err(); err != nil {
			return Chain{}, fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		next, err := r.snapshot(ctx, ifindex)
		switch {
		case errors.Is(err, errUnsteady):
			continue
		case err != nil:
			return Chain{}, err
		case next.chain.empty() && !thorough, last != nil && reflect.DeepEqual(*last, next):
			return next.chain, nil
		}
		next.chain.stages(r.learn)
		last = &next
	}
	if last == nil {
		return Chain{}, errUnsteady
	}
	last.chain.Changing = true
	return last.chain, nil
}

// snapshot reads all stages of an interface once.
func (r *chainReader) snapshot(ctx context.Context, ifindex int) (snapshot, error) {
	l, err := netlink.LinkByIndex(ifindex)
	if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, unix.ENODEV) {
		return snapshot{}, goneInterface(ifindex)
	}
	if err != nil {
		return snapshot{}, fmt.Errorf("looking up interface %d: %w", ifindex, err)
	}
	s := snapshot{chain: Chain{
		Interface: l.Attrs().Name, Ifindex: ifindex, Kind: l.Type(), Ingress: []ChainStage{}, Egress: []ChainStage{},
	}}
	for _, step := range []func(context.Context, netlink.Link) error{
		s.netkitPeer, s.xdp, s.tcxIngress, s.tcxEgress, r.pause, s.clsact, s.netkitPrimary,
	} {
		if err := step(ctx, l); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (r *chainReader) pause(context.Context, netlink.Link) error {
	if r.meanwhile != nil {
		r.meanwhile()
	}
	return nil
}

func goneInterface(ifindex int) error {
	return fmt.Errorf("%w: interface %d is gone", ErrNoTarget, ifindex)
}

func (s *snapshot) xdp(ctx context.Context, l netlink.Link) error {
	xdp := l.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return nil
	}
	state, err := dispatcher.Read(ctx, l.Attrs().Index)
	switch {
	case errors.Is(err, unix.ENODEV):
		return goneInterface(l.Attrs().Index)
	case errors.Is(err, unix.EBUSY):
		return errUnsteady
	case err != nil:
		return fmt.Errorf("reading its XDP programs: %w", err)
	}
	s.chain.Ingress = append(s.chain.Ingress, xdpStages(state)...)
	return nil
}

func (s *snapshot) tcxIngress(_ context.Context, l netlink.Link) error {
	return s.list(l, StageTCXIngress, ebpf.AttachTCXIngress, &s.chain.Ingress)
}

func (s *snapshot) tcxEgress(_ context.Context, l netlink.Link) error {
	return s.list(l, StageTCXEgress, ebpf.AttachTCXEgress, &s.chain.Egress)
}

// netkitPeer reads what runs when the other end sends: its packets arrive here.
func (s *snapshot) netkitPeer(_ context.Context, l netlink.Link) error {
	if l.Type() != netkitKind {
		return nil
	}
	return s.list(l, StageNetkitPeer, ebpf.AttachNetkitPeer, &s.chain.Ingress)
}

func (s *snapshot) netkitPrimary(_ context.Context, l netlink.Link) error {
	if l.Type() != netkitKind {
		return nil
	}
	return s.list(l, StageNetkitPrimary, ebpf.AttachNetkitPrimary, &s.chain.Egress)
}

// list reads a list of programs in their order; one system call reads all of it.
func (s *snapshot) list(l netlink.Link, stage string, attach ebpf.AttachType, to *[]ChainStage) error {
	result, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: attach})
	switch {
	case errors.Is(err, unix.EACCES) && stage == StageNetkitPeer:
		s.notice("it is the peer of its netkit pair: the pair's programs are listed at the primary end, interface %d of the pair", l.Attrs().ParentIndex)
		return nil
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOENT) && stage == StageNetkitPeer:
		return nil // said already; or the peer is gone
	case errors.Is(err, unix.ENODEV):
		return goneInterface(l.Attrs().Index)
	case errors.Is(err, unix.ENOSPC): // more of them since they were counted
		return errUnsteady
	case errors.Is(err, unix.EINVAL), errors.Is(err, ebpf.ErrNotSupported):
		return nil // a kernel without such lists
	case err != nil:
		return fmt.Errorf("listing its programs: %w", err)
	}
	s.revisions = append(s.revisions, result.Revision)
	var programs []ChainProgram
	for _, p := range result.Programs {
		id, _ := p.LinkID()
		programs = append(programs, ChainProgram{ID: uint32(p.ID), LinkID: uint32(id), Next: nextNext})
	}
	addStage(to, ChainStage{Stage: stage, Programs: programs})
	return nil
}

func (s *snapshot) notice(format string, args ...any) {
	s.chain.Notices = append(s.chain.Notices, fmt.Sprintf(format, args...))
}

// addStage adds a stage that has programs.
func addStage(to *[]ChainStage, stage ChainStage) {
	if len(stage.Programs) > 0 || stage.Dispatcher != nil {
		*to = append(*to, stage)
	}
}
