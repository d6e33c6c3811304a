// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/bpf/vmtest/wire"
)

// deviceRows are on interfaces.
func deviceRows() []row {
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
			hook: "xdp", variant: "via=link", object: "counter",
			attach: []string{"xdp_count=xdp:$DEV,via=link"}, event: sendToDev, counter: "pkts", atLeast: packets,
		},
		{
			hook: "xdp", variant: "via=dispatcher", object: "counter", shipped: true,
			attach: []string{"xdp_count=xdp:$DEV,via=dispatcher"}, event: sendToDev, counter: "pkts", atLeast: packets,
		},
		{
			// Both see every packet, though the first one drops it.
			hook: "xdp", variant: "via=dispatcher, two programs", object: "xdp_chain",
			attach: []string{"early=xdp:$DEV,via=dispatcher", "plain=xdp:$DEV,via=dispatcher", "late=none", "garbled=none"},
			event:  sendToDev, counter: "seen", atLeast: 2 * packets,
		},
		{
			hook: "xdp", variant: "tail calls", object: "xdp_tail",
			attach: []string{"entry=xdp:$DEV"}, event: sendToDev, counter: "seen", atLeast: 2 * packets,
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
		orderRow("tc", "tc:$DEV,via=tcx,direction=ingress", row{event: sendToDev}),
		{
			hook: "xdp", variant: "mode=native, xdp.frags with long packets", object: "xdp_frags", setup: longPackets,
			attach: []string{"count=xdp:$DEV,mode=native"}, event: sendToDev, counter: "packets", atLeast: packets,
		},
		{
			hook: "xdp", variant: "mode=offload", object: "xdp_pass", setup: noDevice,
			attach: []string{"pass=xdp:$DEV,mode=offload"},
		},
		{
			hook: "netkit", variant: "primary", object: "netkit", setup: netkitPair,
			attach: []string{"on_primary=netkit:$NETKIT", "on_peer=none"}, event: saysTo("203.0.113.9"), counter: "packets", atLeast: packets,
		},
		{
			hook: "netkit", variant: "peer", object: "netkit", setup: netkitPair,
			attach: []string{"on_peer=netkit:$NETKIT", "on_primary=none"}, event: saysTo("203.0.113.73"), counter: "packets", atLeast: packets,
		},
		orderRow("netkit", "netkit:$NETKIT,direction=primary", row{setup: netkitPair, event: saysTo("203.0.113.9")}),
		{
			hook: "action", variant: "ingress, priority", object: "action",
			attach: []string{"count=action:$DEV,direction=ingress,priority=7"}, event: sendToDev, counter: "packets", atLeast: packets,
		},
		{
			hook: "action", variant: "netns=", object: "action", setup: peerElsewhere,
			attach: []string{"count=action:$PEER,direction=ingress,netns=$NETNS"}, event: sendFromDev, counter: "packets", atLeast: packets,
		},
	}
}

// proceedRows are two programs in a row on one interface, which return TC_ACT_OK
// and count in one map: the second counts too when the first goes on.
func proceedRows() []row {
	twice := func(first, second string, options, behind string) []string {
		attach := []string{
			first + "=tc:$DEV,direction=ingress,proceed-on=ok" + options, second + "=tc:$DEV,direction=ingress" + behind,
		}
		for _, other := range []string{"plain", "untyped", "calls", "tail", "tails", "deep"} {
			if other != first && other != second {
				attach = append(attach, other+"=none")
			}
		}
		return attach
	}
	return []row{
		{
			hook: "tc", variant: "via=tcx, proceed-on", object: "proceed", shipped: true,
			attach: twice("calls", "plain", ",via=tcx", ",via=tcx"), event: sendToDev, counter: "seen", atLeast: 2 * packets,
		},
		{
			hook: "tc", variant: "via=clsact, proceed-on", object: "proceed",
			attach: twice("calls", "plain", ",via=clsact,priority=10", ",via=clsact,priority=20"),
			event:  sendToDev, counter: "seen", atLeast: 2 * packets,
		},
		{
			hook: "tc", variant: "via=clsact, proceed-on after a tail call", object: "proceed",
			attach: twice("tails", "plain", ",via=clsact,priority=10", ",via=clsact,priority=20"),
			event:  sendToDev, counter: "seen", atLeast: 2 * packets,
		},
	}
}

// routeRows are on routes. The prefixes are those of documentation (RFC 5737,
// RFC 3849).
func routeRows() []row {
	only := func(program, target string) []string {
		attach := []string{program + "=lwt:" + target}
		for _, other := range []string{"on_in", "on_out", "on_xmit", "on_segment"} {
			if other != program {
				attach = append(attach, other+"=none")
			}
		}
		return attach
	}
	return []row{
		{
			hook: "lwt", variant: "direction=in", object: "lwt", setup: router,
			attach: only("on_in", "192.0.2.2,dev=$DEV,direction=in"), event: sendToDev, counter: "packets", atLeast: packets,
		},
		{
			hook: "lwt", variant: "direction=out", object: "lwt", setup: addressed, shipped: true,
			attach: only("on_out", "203.0.113.0/24,dev=$DEV,direction=out"), event: saysTo("203.0.113.5"), counter: "packets", atLeast: packets,
		},
		{
			hook: "lwt", variant: "direction=xmit", object: "lwt", setup: addressed,
			attach: only("on_xmit", "203.0.113.0/24,dev=$DEV,direction=xmit"), event: refusedTo("203.0.113.5"), counter: "packets",
		},
		{
			hook: "lwt", variant: "direction=seg6local", object: "lwt", setup: router,
			attach: only("on_segment", "2001:db8:5::1/128,dev=$DEV,direction=seg6local"), event: sendSegment, counter: "packets",
		},
		{
			hook: "lwt", variant: "via=, table=, metric=, netns=", object: "lwt",
			setup: func(e *env) error {
				if err := peerElsewhere(e); err != nil {
					return err
				}
				return inNetns(e.vars["NETNS"], func() error { return sender(e.peer, "198.51.100.2/24") })
			},
			attach: only("on_out", "203.0.113.0/24,dev=$PEER,via=198.51.100.1,table=254,metric=5,netns=$NETNS"),
			event: func(e *env) error {
				return inNetns(e.vars["NETNS"], func() error { return say("203.0.113.5", 1) })
			},
			counter: "packets", atLeast: packets,
		},
	}
}

// stackRows are on what a network namespace does to all packets.
func stackRows() []row {
	return []row{
		{
			hook: "flow_dissector", object: "flow_dissector",
			attach: []string{"dissect=flow_dissector"}, event: sendToDev, counter: "packets", atLeast: packets,
		},
		{
			hook: "netfilter", variant: "ipv4 output", object: "netfilter", shipped: true,
			attach: []string{"drop=netfilter,family=ipv4,hook=output,priority=10"}, event: refusedTo("127.0.0.1"), counter: "packets",
		},
		{
			hook: "netfilter", variant: "ipv6 output", object: "netfilter",
			attach: []string{"drop=netfilter,family=ipv6,hook=output,priority=10"}, event: refusedTo("::1"), counter: "packets",
		},
		{
			hook: "netfilter", variant: "defrag=true", object: "netfilter", setup: fragmenting,
			attach: []string{"drop=netfilter,family=ipv4,hook=prerouting,priority=-300,defrag=true,netns=$NETNS"}, event: saysMuch, counter: "packets", atLeast: packets,
			seen: func(e *env) error {
				n, err := e.count("packets")
				if err == nil && n != packets {
					err = fmt.Errorf("the program saw %d packets, want %d and no fragments", n, packets)
				}
				return err
			},
		},
	}
}

// packets is how many an event sends.
const packets = 5

// sendToDev has packets arrive at $DEV.
func sendToDev(e *env) error { return wire.Send(e.peer, packets) }

// sendFromDev has packets leave $DEV, and arrive at $PEER.
func sendFromDev(e *env) error { return wire.Send(e.dev, packets) }
