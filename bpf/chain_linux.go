// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// chainAttempts is how often a chain that changes is read before it is shown as
// it was last seen.
const chainAttempts = 8

// Chain says who handles the packets of an interface, or of all that have
// programs, in the order in which a packet meets them. It changes nothing and
// takes no lock. A chain that changes while it is read is read again.
// Errors: [ErrNoTarget] for an interface or a network namespace that is not there,
// [PermissionError].
func (m *Manager) Chain(ctx context.Context, opts ChainOptions) (Chains, error) {
	if err := mayReadChains(); err != nil {
		return Chains{}, err
	}
	path := ""
	if opts.Netns != "" {
		var wrong string
		if path, wrong = netnsFile(opts.Netns); wrong != "" {
			return Chains{}, fmt.Errorf("%w: network namespace %q: %s", ErrSetting, opts.Netns, wrong)
		}
		if err := findableNetns(path, opts.Netns); err != nil {
			return Chains{}, err
		}
	}
	read := func(ctx context.Context) (out Chains, err error) {
		err = inNetns(path, func() error {
			out, err = m.chains(ctx, opts.Interface)
			return err
		})
		return out, err
	}
	if opts.Measure <= 0 {
		return read(ctx)
	}
	return measured(ctx, opts.Measure, read, func(after, before Chains) Chains {
		after.since(before)
		after.Counting = true
		return after
	})
}

// mayReadChains asks for what the kernel asks: CAP_NET_ADMIN of who lists programs
// of interfaces, CAP_SYS_ADMIN of who opens a program by its id.
func mayReadChains() error {
	const op = "reading who handles packets"
	set, err := effectiveCapabilities()
	if err != nil {
		return err
	}
	return joined.Errors(set.require(op, unix.CAP_SYS_ADMIN, true), set.require(op, unix.CAP_NET_ADMIN, true))
}

// chains reads those of the calling thread's network namespace: of one interface,
// or of all with programs when name is "".
func (m *Manager) chains(ctx context.Context, name string) (Chains, error) {
	out := Chains{Counting: statsEnabled()}
	r, err := m.chainReader()
	if err != nil {
		return out, err
	}
	out.Netns = r.netns
	if out.Interfaces, err = r.interfaces(ctx, name); err != nil {
		return out, err
	}
	if out.Netfilter, err = r.netfilter(ctx); err != nil {
		return out, fmt.Errorf("reading the netfilter programs: %w", err)
	}
	out.stages(r.describe)
	return out, r.findPins(ctx, &out)
}

// interfaces reads the chain of one interface, or those of all with programs when
// name is "".
func (r *chainReader) interfaces(ctx context.Context, name string) ([]Chain, error) {
	links, err := chainLinks(name)
	if err != nil {
		return nil, err
	}
	out := []Chain{}
	for _, l := range links {
		chain, err := r.read(ctx, l.Attrs().Index, name != "")
		switch {
		case errors.Is(err, ErrNoTarget) && name == "":
			continue // it went in between
		case err != nil:
			return nil, fmt.Errorf("reading the programs of interface %q: %w", l.Attrs().Name, err)
		case name != "" || !chain.empty():
			out = append(out, chain)
		}
	}
	return out, nil
}

// chainLinks are the interfaces to look at.
func chainLinks(name string) ([]netlink.Link, error) {
	if name == "" {
		links, err := netlink.LinkList()
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("listing interfaces: %w", err)
		}
		slices.SortFunc(links, func(a, b netlink.Link) int { return a.Attrs().Index - b.Attrs().Index })
		return links, nil
	}
	l, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, fmt.Errorf("%w: there is no interface %q in this network namespace; there are %s", ErrNoTarget, name, interfaceNames())
	}
	if err != nil {
		return nil, fmt.Errorf("looking up interface %q: %w", name, err)
	}
	return []netlink.Link{l}, nil
}
