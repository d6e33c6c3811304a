// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import "time"

// ChainOptions of [Manager.Chain].
type ChainOptions struct {
	// Interface to look at; "" for all on which there is a program.
	Interface string
	// Netns is the network namespace of it: the path of a file, or pid:NUMBER.
	// Default: the calling thread's.
	Netns string
	// Measure has the kernel count runs for so long, and the answer say what was
	// counted meanwhile; 0: what it has counted so far.
	Measure time.Duration
}

// Chains says who handles the packets of a network namespace, bpfimg's programs
// and everybody else's, in the order in which a packet meets them.
type Chains struct {
	// Netns is the inode of the network namespace's file.
	Netns uint64 `json:"netns"`
	// Interfaces, in the order of their indexes.
	Interfaces []Chain `json:"interfaces"`
	// Netfilter is what the whole namespace shares: its packets meet it after the
	// ingress and before the egress of any interface. In the order of a packet's
	// way: prerouting, input, forward, output, postrouting.
	Netfilter []ChainStage `json:"netfilter"`
	// Counting says that the kernel counted runs.
	Counting bool `json:"counting"`
}

// Chain is what handles the packets of one interface.
type Chain struct {
	Interface string `json:"interface"`
	Ifindex   int    `json:"ifindex"`
	// Kind of interface as netlink calls it: "veth", "netkit", "device".
	Kind string `json:"kind"`
	// Ingress are the stages of a packet that arrives, and Egress of one that
	// leaves, in order; those without programs are left out.
	Ingress []ChainStage `json:"ingress"`
	Egress  []ChainStage `json:"egress"`
	// Notices are sentences on what else there is to know.
	Notices []string `json:"notices,omitempty"`
	// Changing says that the chain did not hold still for as long as it took to
	// read it, tried several times.
	Changing bool `json:"changing,omitempty"`
}

// Values of [ChainStage.Stage].
const (
	StageXDPOffload    = "xdp-offload"
	StageXDPNative     = "xdp-native"
	StageXDPGeneric    = "xdp-generic"
	StageNetkitPeer    = "netkit-peer"
	StageNetkitPrimary = "netkit-primary"
	StageTCXIngress    = "tcx-ingress"
	StageTCXEgress     = "tcx-egress"
	StageClsactIngress = "clsact-ingress"
	StageClsactEgress  = "clsact-egress"

	// StageNetfilter is followed by the hook: "netfilter-input".
	StageNetfilter = "netfilter-"
)

// ChainStage is one place on a packet's way, with its programs in the order in
// which they run.
type ChainStage struct {
	Stage string `json:"stage"`
	// Family of netfilter stages: "ipv4" or "ipv6".
	Family string `json:"family,omitempty"`
	// Dispatcher runs the programs of this stage, if several can be there by the
	// protocol of libxdp.
	Dispatcher *ChainDispatcher `json:"dispatcher,omitempty"`
	Programs   []ChainProgram   `json:"programs"`
}

// ChainDispatcher is a program that only calls others.
type ChainDispatcher struct {
	ID uint32 `json:"id"`
	// Version of the protocol of libxdp.
	Version int `json:"version"`
	// Runs of it, which are those of the whole chain: the kernel does not count
	// those of the programs it calls.
	Runs *ProgramRuns `json:"runs,omitempty"`
}

// ChainProgram is a program in its place, or another kind of tc filter.
type ChainProgram struct {
	// Instance it belongs to; "" when bpfimg did not attach it.
	Instance string `json:"instance,omitempty"`
	// Name of the program, as far as the kernel knows it; that of a tc filter
	// without a program is its kind, such as "flower".
	Name string `json:"name"`
	// ID is the kernel's, 0 without a BPF program; Type and Tag as it says them.
	ID   uint32 `json:"id,omitempty"`
	Type string `json:"type,omitempty"`
	Tag  string `json:"tag,omitempty"`
	// Pin is where the program or its link is pinned, as far as that was found, and
	// LinkID the kernel's id of the link that holds it there.
	Pin    string `json:"pin,omitempty"`
	LinkID uint32 `json:"linkId,omitempty"`
	// Priority where the stage has one; lower runs first.
	Priority *int64 `json:"priority,omitempty"`
	// Slot of the dispatcher.
	Slot *int `json:"slot,omitempty"`
	// Filter says where in traffic control it is.
	Filter *ChainFilter `json:"filter,omitempty"`
	// Next names the results after which a packet goes on to the next program, and
	// from the last one to what follows the stage; with any other it does not.
	Next string `json:"next"`
	// Elsewhere says that it is not known whether the program is of this network
	// namespace: of others' netfilter programs some kernels do not say that.
	Elsewhere bool `json:"perhapsElsewhere,omitempty"`
	// Runs as far as the kernel counted them.
	Runs *ProgramRuns `json:"runs,omitempty"`

	// loaded is how long after the boot.
	loaded time.Duration
}

// ChainFilter is the place of a filter of the clsact qdisc.
type ChainFilter struct {
	// Kind of filter: "bpf", "flower", "u32", "matchall" and so on.
	Kind string `json:"kind"`
	// Chain of tc; 0 is where packets start, to others a filter has to send them.
	Chain uint32 `json:"chain,omitempty"`
	// Handle, 0 where one line stands for several filters: Count of them.
	Handle uint32 `json:"handle,omitempty"`
	Count  int    `json:"count,omitempty"`
	// Protocol is the EtherType it is for, 3 for all (linux/if_ether.h).
	Protocol uint16 `json:"protocol"`
	// Actions are the kinds of its actions, in order; the program is one of them
	// when Action is not 0, counted from 1.
	Actions []string `json:"actions,omitempty"`
	Action  int      `json:"action,omitempty"`
}

// StateForeign is the state of programs that bpfimg did not attach, where
// [Manager.ListAll] lists them.
const StateForeign = "foreign"

// Ours says whether bpfimg attached it.
func (p ChainProgram) Ours() bool { return p.Instance != "" }

// stages calls f for every stage.
func (c *Chains) stages(f func(*ChainStage)) {
	for i := range c.Interfaces {
		c.Interfaces[i].stages(f)
	}
	for i := range c.Netfilter {
		f(&c.Netfilter[i])
	}
}

func (c *Chain) stages(f func(*ChainStage)) {
	for i := range c.Ingress {
		f(&c.Ingress[i])
	}
	for i := range c.Egress {
		f(&c.Egress[i])
	}
}

// empty says that there is no program.
func (c *Chain) empty() bool { return len(c.Ingress)+len(c.Egress) == 0 }

// programs calls f for every program that the kernel counts, with where its runs
// go.
func (s *ChainStage) programs(f func(id uint32, runs **ProgramRuns)) {
	if s.Dispatcher != nil {
		f(s.Dispatcher.ID, &s.Dispatcher.Runs)
	}
	for i := range s.Programs {
		f(s.Programs[i].ID, &s.Programs[i].Runs)
	}
}

// since takes off what had been counted before.
func (c *Chains) since(earlier Chains) {
	before := map[uint32]ProgramRuns{}
	earlier.stages(func(s *ChainStage) {
		s.programs(func(id uint32, runs **ProgramRuns) {
			if *runs != nil {
				before[id] = **runs
			}
		})
	})
	c.stages(func(s *ChainStage) {
		s.programs(func(id uint32, runs **ProgramRuns) {
			if *runs != nil {
				left := (*runs).since(before[id])
				*runs = &left
			}
		})
	})
}
