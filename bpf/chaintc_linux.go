// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// clsact reads the filters on both sides of the qdisc clsact, or on the one of the
// qdisc ingress.
func (s *snapshot) clsact(_ context.Context, l netlink.Link) error {
	kind, err := ingressQdisc(uint32(l.Attrs().Index))
	switch {
	case errors.Is(err, netlink.ErrDumpInterrupted):
		return errUnsteady
	case err != nil || kind == "":
		return err
	}
	if err := s.filters(l, StageClsactIngress, netlink.HANDLE_MIN_INGRESS, &s.chain.Ingress); err != nil {
		return err
	}
	if kind != viaClsact {
		return nil // the qdisc ingress would list the same filters again
	}
	return s.filters(l, StageClsactEgress, netlink.HANDLE_MIN_EGRESS, &s.chain.Egress)
}

// filters reads those of one side. The kernel lists them in the order in which it
// asks them, chain by chain.
func (s *snapshot) filters(l netlink.Link, stage string, parent uint32, to *[]ChainStage) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETTFILTER, unix.NLM_F_DUMP)
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(l.Attrs().Index), Parent: parent})
	messages, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER)
	switch {
	case errors.Is(err, netlink.ErrDumpInterrupted):
		return errUnsteady
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENODEV):
		return errUnsteady // the qdisc went in between, or the interface
	case err != nil:
		return fmt.Errorf("listing its filters: %w", err)
	}
	var programs []ChainProgram
	for _, message := range messages {
		f, err := parseFilter(message)
		if errors.Is(err, errNoFilter) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading its filters: %w", err)
		}
		programs = appendFilter(programs, f)
	}
	// Chains are listed in the order of their making; packets start in chain 0.
	slices.SortStableFunc(programs, func(a, b ChainProgram) int { return cmp.Compare(a.Filter.Chain, b.Filter.Chain) })
	addStage(to, ChainStage{Stage: stage, Programs: programs})
	return nil
}
