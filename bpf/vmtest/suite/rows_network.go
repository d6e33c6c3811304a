// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import "github.com/bpfimg/bpfimg/bpf/vmtest/wire"

func networkRows() []row {
	const tcIngress, tcEgress = "tc_ingress=tc:", "tc_egress=tc:"
	return []row{
		{
			hook: "xdp", variant: "mode=native", object: "counter",
			attach: []string{"xdp_count=xdp:$DEV,mode=native"}, event: sendToDev, counter: "pkts", atLeast: packets,
		},
		{
			hook: "xdp", variant: "mode=generic", object: "counter",
			attach: []string{"xdp_count=xdp:$DEV,mode=generic"}, event: sendToDev, counter: "pkts", atLeast: packets,
		},
		{
			hook: "xdp", variant: "netns=", object: "counter", setup: peerElsewhere,
			attach: []string{"xdp_count=xdp:$PEER,netns=$NETNS"}, event: sendFromDev, counter: "pkts", atLeast: packets,
		},
		{
			hook: "tc", variant: "via=tcx, ingress", object: "bytes",
			attach: []string{tcIngress + "$DEV,via=tcx", "tc_egress=none"}, event: sendToDev, counter: "traffic", atLeast: packets,
		},
		{
			hook: "tc", variant: "via=tcx, egress", object: "bytes",
			attach: []string{tcEgress + "$DEV,via=tcx", "tc_ingress=none"}, event: sendFromDev, counter: "traffic", atLeast: packets,
		},
		{
			hook: "tc", variant: "via=clsact, priority and handle", object: "bytes",
			attach: []string{tcIngress + "$DEV,priority=7,handle=3", "tc_egress=none"}, event: sendToDev, counter: "traffic", atLeast: packets,
		},
		{
			hook: "tc", variant: "via=clsact, egress", object: "bytes",
			attach: []string{tcEgress + "$DEV,via=clsact", "tc_ingress=none"}, event: sendFromDev, counter: "traffic", atLeast: packets,
		},
		{
			hook: "tc", variant: "via=clsact, netns=", object: "bytes", setup: peerElsewhere,
			attach: []string{tcIngress + "$PEER,via=clsact,netns=$NETNS", "tc_egress=none"}, event: sendFromDev, counter: "traffic", atLeast: packets,
		},
	}
}

// packets is how many an event sends.
const packets = 5

// sendToDev has packets arrive at $DEV.
func sendToDev(e *env) error { return wire.Send(e.peer, packets) }

// sendFromDev has packets leave $DEV, and arrive at $PEER.
func sendFromDev(e *env) error { return wire.Send(e.dev, packets) }
