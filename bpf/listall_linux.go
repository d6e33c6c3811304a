// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// ListAll is [Manager.List], or [Manager.Measure] when d is above 0, and after the
// instances the programs that others have attached to network interfaces of this
// network namespace: XDP, also those a dispatcher calls, tcx, netkit and clsact.
// Each is a [Status] without a name whose state is [StateForeign].
func (m *Manager) ListAll(ctx context.Context, d time.Duration) ([]Status, error) {
	if d > 0 {
		return measured(ctx, d, m.listAll, statusesSince)
	}
	return m.listAll(ctx)
}

func (m *Manager) listAll(ctx context.Context) ([]Status, error) {
	if err := mayReadChains(); err != nil {
		return nil, err
	}
	list, err := m.List(ctx)
	if err != nil {
		return nil, err
	}
	r, err := m.chainReader()
	if err != nil {
		return nil, err
	}
	chains, err := r.interfaces(ctx, "")
	if err != nil {
		return nil, err
	}
	found := Chains{Interfaces: chains}
	found.stages(r.describe)
	if err := r.findPins(ctx, &found); err != nil {
		return nil, err
	}
	return append(list, foreign(found, r.netns, bootTime())...), nil
}

// bootTime is when the machine was started, as programs count: with the time it
// slept.
func bootTime() time.Time {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}
	}
	return time.Now().UTC().Add(-time.Duration(up.Nano()))
}

// foreign makes a status of each program of others, with all its places.
func foreign(chains Chains, netns uint64, boot time.Time) []Status {
	var out []Status
	index := map[uint32]int{}
	for _, c := range chains.Interfaces {
		c.stages(func(s *ChainStage) {
			for _, p := range s.Programs {
				if p.ID == 0 || p.Ours() {
					continue
				}
				i, known := index[p.ID]
				if !known {
					i = len(out)
					index[p.ID] = i
					out = append(out, foreignStatus(p, boot))
				}
				out[i].Links = append(out[i].Links, foreignLink(p, s.Stage, c, netns))
			}
		})
	}
	return out
}

func foreignStatus(p ChainProgram, boot time.Time) Status {
	s := Status{Instance: schemas.Instance{
		State:    StateForeign,
		Programs: []schemas.InstanceProgram{{Name: p.Name, Type: p.Type, ID: p.ID, Tag: p.Tag, Pin: p.Pin}},
	}, Counting: statsEnabled()}
	if p.loaded > 0 && !boot.IsZero() {
		s.Started = boot.Add(p.loaded).Truncate(time.Second)
	}
	if p.Runs != nil {
		runs := *p.Runs
		runs.Program = p.Name
		s.Runs = []ProgramRuns{runs}
	}
	return s
}

// foreignLink is a place in the words of `--attach`.
func foreignLink(p ChainProgram, stage string, c Chain, netns uint64) schemas.InstanceLink {
	l := schemas.InstanceLink{Program: p.Name, Target: c.Interface, Ifindex: uint32(c.Ifindex), Netns: netns, Via: viaNetlink, ID: p.LinkID}
	if p.LinkID != 0 {
		l.Via = viaLink
	}
	kind, side, _ := strings.Cut(stage, "-")
	switch kind {
	case "xdp":
		l.Hook, l.Options = "xdp", map[string]string{"mode": side}
	case "netkit":
		l.Hook, l.Options = "netkit", map[string]string{"direction": side}
	default:
		l.Hook, l.Options = "tc", map[string]string{"direction": side, "via": kind}
	}
	if p.Filter != nil && p.Filter.Action > 0 {
		l.Hook = "action"
	}
	if p.Priority != nil {
		l.Options["priority"] = fmt.Sprint(*p.Priority)
	}
	return l
}
