// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/linklist"
)

// netfilterHooks are those of the families with BPF, in the order in which a
// packet meets them.
var netfilterHooks = [...]struct {
	hook link.NetfilterInetHook
	name string
}{
	{link.NetfilterInetPreRouting, "prerouting"},
	{link.NetfilterInetLocalIn, "input"},
	{link.NetfilterInetForward, "forward"},
	{link.NetfilterInetLocalOut, "output"},
	{link.NetfilterInetPostRouting, "postrouting"},
}

var netfilterFamilies = [...]struct {
	family link.NetfilterProtocolFamily
	name   string
}{
	{link.NetfilterProtoIPv4, "ipv4"},
	{link.NetfilterProtoIPv6, "ipv6"},
}

// netfilterLink is a program that a link holds in a hook of netfilter.
type netfilterLink struct {
	place   link.NetfilterInfo
	program ChainProgram
}

// netfilter reads the programs of the namespace's netfilter hooks.
func (r *chainReader) netfilter(ctx context.Context) ([]ChainStage, error) {
	out := []ChainStage{}
	if !kernelAtLeast(6, 4) {
		return out, nil // where such links appeared
	}
	links, err := r.netfilterLinks(ctx)
	if err != nil {
		return nil, err
	}
	for _, hook := range netfilterHooks {
		for _, family := range netfilterFamilies {
			stage := ChainStage{Stage: StageNetfilter + hook.name, Family: family.name}
			for _, l := range links {
				if l.place.Hook == hook.hook && l.place.ProtocolFamily == family.family {
					stage.Programs = append(stage.Programs, l.program)
				}
			}
			addStage(&out, stage)
			r.learn(&stage)
		}
	}
	return out, nil
}

// netfilterLinks finds the links among all there are, by priority. Those of our own
// programs in other namespaces are left out.
func (r *chainReader) netfilterLinks(ctx context.Context) ([]netfilterLink, error) {
	var out []netfilterLink
	err := linklist.Walk(ctx, func(info *link.Info) bool {
		place := info.Netfilter()
		if place == nil {
			return false
		}
		own, ours := r.ours[uint32(info.Program)]
		if ours && own.link.Netns != 0 && own.link.Netns != r.netns {
			return false
		}
		priority := int64(place.Priority)
		out = append(out, netfilterLink{place: *place, program: ChainProgram{
			ID: uint32(info.Program), LinkID: uint32(info.ID), Priority: &priority, Next: nextAccept, Elsewhere: !ours,
		}})
		return false
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
		err = nil // a kernel without links
	}
	slices.SortStableFunc(out, func(a, b netfilterLink) int { return cmp.Compare(*a.program.Priority, *b.program.Priority) })
	return out, err
}
