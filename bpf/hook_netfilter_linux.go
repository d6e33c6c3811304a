// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// netfilterHook attaches to a hook of netfilter in a network namespace, the one
// bpfimg runs in or that of option netns. Options, all but the last required:
//
//   - family: "ipv4" or "ipv6", the two the kernel has BPF for;
//   - hook: as nftables calls them;
//   - priority: where between the others of that hook, lower first. No two BPF
//     programs share one;
//   - defrag: "true" gives the program whole packets instead of fragments.
type netfilterHook struct{}

// netfilterLinks is what attaching needs; since is their first Linux.
const (
	netfilterLinks      = "netfilter programs (CONFIG_NETFILTER_BPF_LINK)"
	netfilterLinksSince = "6.4"
)

// priorityDefrag is NF_IP_PRI_CONNTRACK_DEFRAG and NF_IP6_PRI_CONNTRACK_DEFRAG
// (linux/netfilter_ipv4.h): where fragments are put together.
const priorityDefrag = -400

// netfilterDefrag is the flag of a link with defrag=true. The constant of the link
// package is 0 in the version used.
const netfilterDefrag = link.NetfilterAttachFlags(unix.BPF_F_NETFILTER_IP_DEFRAG)

func netfilterFamily(p *placement) link.NetfilterProtocolFamily {
	if p.option("family") == "ipv6" {
		return link.NetfilterProtoIPv6
	}
	return link.NetfilterProtoIPv4
}

func netfilterPlace(p *placement) link.NetfilterInetHook {
	switch p.option("hook") {
	case "prerouting":
		return link.NetfilterInetPreRouting
	case "input":
		return link.NetfilterInetLocalIn
	case "forward":
		return link.NetfilterInetForward
	case "output":
		return link.NetfilterInetLocalOut
	}
	return link.NetfilterInetPostRouting
}

func (netfilterHook) programType() ebpf.ProgramType  { return ebpf.Netfilter }
func (netfilterHook) capability() capability         { return unix.CAP_NET_ADMIN }
func (netfilterHook) networked() bool                { return false }
func (netfilterHook) target() (what, example string) { return "", "" }

func (n netfilterHook) prepare(_ context.Context, _ *host, p *placement) error {
	if p.link.Target != "" {
		return p.usage("takes no target; options family, hook and priority say where, and netns in which network namespace")
	}
	for _, name := range []string{"family", "hook", "priority"} {
		if p.option(name) == "" {
			return p.usage("needs option %s: --attach %s=netfilter,family=ipv4,hook=input,priority=10", name, p.link.Program)
		}
	}
	priority, err := netfilterPriority(p)
	if err != nil {
		return err
	}
	p.spec.AttachType = ebpf.AttachNetfilter
	if p.option("defrag") != "true" {
		return nil
	}
	if priority <= priorityDefrag {
		return p.usage("with defrag=true the priority must be above %d, where fragments are put together", priorityDefrag)
	}
	return n.probeDefrag(p)
}

// netfilterPriority refuses what the kernel refuses: the first and the last place
// are its own (bpf_nf_check_pf_and_hooks).
func netfilterPriority(p *placement) (int32, error) {
	n, err := strconv.ParseInt(p.option("priority"), 0, 32)
	if err != nil || n == math.MinInt32 || n == math.MaxInt32 {
		return 0, p.usage("priority is %q; it can be a number from %d to %d", p.option("priority"), math.MinInt32+1, math.MaxInt32-1)
	}
	return int32(n), nil
}

// probeDefrag tries it in a network namespace made for that.
func (n netfilterHook) probeDefrag(p *placement) error {
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.Netfilter, AttachType: ebpf.AttachNetfilter}, 0)
	if err != nil {
		return nil // loading will tell
	}
	opts := netfilterOptions(p, prog, 0)
	err = inNewNetns(func() error {
		l, err := link.AttachNetfilter(opts)
		if err != nil {
			return err
		}
		return l.Close()
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("%s: %w", p, unsupported("defragmentation for netfilter programs", "6.6"))
	case errors.Is(err, unix.ENOENT):
		err = fmt.Errorf("%s: %w", p, unsupported("defragmentation (modules nf_defrag_ipv4 and nf_defrag_ipv6)", ""))
	default:
		err = nil // or no namespace for us: attaching tells
	}
	return joined.Errors(err, prog.Close())
}

// netfilterOptions are those of the link.
func netfilterOptions(p *placement, prog *ebpf.Program, priority int32) link.NetfilterOptions {
	opts := link.NetfilterOptions{Program: prog, ProtocolFamily: netfilterFamily(p), Hook: netfilterPlace(p), Priority: priority}
	if p.option("defrag") == "true" {
		opts.NetfilterFlags = netfilterDefrag
	}
	return opts
}

func (netfilterHook) attach(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	priority, err := netfilterPriority(p)
	if err != nil {
		return nil, err
	}
	l, err := link.AttachNetfilter(netfilterOptions(p, prog, priority))
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("%s: %w", h.netfilterTaken(ctx, p, priority), err)
	}
	if err != nil {
		return nil, attachError(p, netfilterLinks, netfilterLinksSince, err)
	}
	return l, nil
}
