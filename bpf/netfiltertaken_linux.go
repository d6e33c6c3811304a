// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/link"
)

// netfilterTaken says who has a priority that the kernel calls busy, and which
// numbers near it no BPF program has. The kernel refuses a number that anything has
// at that hook, also conntrack or a chain of nftables (nf_hook_entries_grow,
// net/netfilter/core.c); of those it tells nothing here.
func (h *host) netfilterTaken(p *placement, priority int32) string {
	taken := h.netfilterPriorities(p)
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
func (h *host) netfilterPriorities(p *placement) map[int32]uint32 {
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
	it := &link.Iterator{}
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil || elsewhere[uint32(info.ID)] {
			continue
		}
		n := info.Netfilter()
		if n != nil && n.ProtocolFamily == netfilterFamily(p) && n.Hook == netfilterPlace(p) {
			taken[n.Priority] = uint32(info.Program)
		}
	}
	return taken // without the right to list links, only what came before is known
}
