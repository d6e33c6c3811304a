// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// netkitHook attaches to a netkit pair, whose programs run as part of sending, in
// the order that options priority, order, before and after say. The target is the primary end, which alone may
// change them; option direction says for which end: "primary" or "peer".
type netkitHook struct{}

// netkitKind is the kind of a netkit interface.
const netkitKind = "netkit"

func (netkitHook) programType() ebpf.ProgramType { return ebpf.SchedCLS }
func (netkitHook) capability() capability        { return unix.CAP_NET_ADMIN }
func (netkitHook) networked() bool               { return true }

// probe asks for the programs of an interface that cannot be: a kernel with
// netkit misses the interface, one without does not know the question.
func (netkitHook) probe() error {
	_, err := link.QueryPrograms(link.QueryOptions{Target: math.MaxInt32, Attach: ebpf.AttachNetkitPrimary})
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return unsupported("netkit interfaces (CONFIG_NETKIT)", "6.7")
}

func (netkitHook) prepare(ctx context.Context, h *host, p *placement) error {
	if p.option("direction") == "" {
		return p.usage("needs an end: --attach %s,direction=primary (or peer)", p)
	}
	l, err := h.iface(p)
	if err != nil {
		return err
	}
	if l.Type() != netkitKind {
		return p.usage("%q is an interface of kind %q; netkit programs go to the primary end of a netkit pair, others to hook tc", p.link.Target, l.Type())
	}
	// Who may not see the programs may not attach any (EACCES): the kernel knows
	// which end is primary, and the interface's attributes are read by newer
	// versions of it only.
	_, err = link.QueryPrograms(link.QueryOptions{Target: int(p.link.Ifindex), Attach: netkitEnd(p)})
	switch {
	case errors.Is(err, unix.EACCES):
		return p.usage("%q is the peer of its netkit pair; name the primary end, and direction=peer for packets that leave this one", p.link.Target)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: %w: the peer of %q is gone", p, ErrNoTarget, p.link.Target)
	}
	return h.prepareRanked(ctx, p, netkitLineup(p, nil))
}

func netkitEnd(p *placement) ebpf.AttachType {
	if p.option("direction") == "peer" {
		return ebpf.AttachNetkitPeer
	}
	return ebpf.AttachNetkitPrimary
}

func (netkitHook) attach(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	l, err := h.attachInOrder(ctx, p, netkitLineup(p, prog))
	if err != nil {
		return nil, err
	}
	return l, nil
}

// netkitLineup is the list of programs of one end of the pair.
func netkitLineup(p *placement, prog *ebpf.Program) lineup {
	at := netkitEnd(p)
	return lineup{
		what:  fmt.Sprintf("netkit %s of %q", p.option("direction"), p.link.Target),
		query: link.QueryOptions{Target: int(p.link.Ifindex), Attach: at},
		attach: func(s spot, revision uint64) (link.Link, error) {
			l, err := link.AttachNetkit(link.NetkitOptions{
				Interface: int(p.link.Ifindex), Program: prog, Attach: at, Anchor: s.anchor(), ExpectedRevision: revision,
			})
			return l, mprogError(p, "netkit interfaces (CONFIG_NETKIT)", "6.7", err)
		},
	}
}
