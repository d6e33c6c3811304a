// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/bpf/linklist"
)

// netfilterTaken says who has a priority that the kernel calls busy, and which
// numbers near it no BPF program has. The kernel refuses a number that anything has
// at that hook, also conntrack or a chain of nftables (nf_hook_entries_grow,
// net/netfilter/core.c); of those it tells nothing here.
func (h *host) netfilterTaken(ctx context.Context, p *placement, priority int32) string {
	taken := h.netfilterPriorities(ctx, p)
	who := "no BPF program that can be seen, so by the kernel's own parts or a chain of nftables"
	if id, ok := taken[priority]; ok {
		who = h.owner(id)
	}
	var free []string
	for _, step := range []int64{-1, 1} {
		n := int64(priority) + step
		for taken[int32(n)] != 0 && n > math.MinInt32 && n < math.MaxInt32 {
			n += step
		}
		if n > math.MinInt32 && n < math.MaxInt32 {
			free = append(free, strconv.FormatInt(n, 10))
		}
	}
	return fmt.Sprintf("priority %d of that hook is taken by %s; no BPF program has %s", priority, who, strings.Join(free, " or "))
}

// netfilterPriorities are the programs at the same hook by their priority. Links
// do not say in which network namespace they are: records do of ours, and those of
// others may be in another one.
func (h *host) netfilterPriorities(ctx context.Context, p *placement) map[int32]uint32 {
	elsewhere := map[uint32]bool{}
	for i := range h.records {
		for _, rec := range versions(&h.records[i]) {
			for _, l := range rec.Links {
				if l.ID != 0 && l.Netns != p.link.Netns {
					elsewhere[l.ID] = true
				}
			}
		}
	}
	taken := map[int32]uint32{}
	_ = linklist.Walk(ctx, func(info *link.Info) bool {
		n := info.Netfilter()
		if n != nil && !elsewhere[uint32(info.ID)] && n.ProtocolFamily == netfilterFamily(p) && n.Hook == netfilterPlace(p) {
			taken[n.Priority] = uint32(info.Program)
		}
		return false
	})
	return taken // without the right to list links, only what came before is known
}
