// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package dispatcher puts several XDP programs on one network interface, in
// order, by the protocol of libxdp, version 2: xdp-loader and other users of that
// library see, keep and order the programs this package adds, and it theirs.
//
// An interface has one slot for XDP. In it goes a small program, the dispatcher,
// that calls up to [Slots] stubs one after the other; the programs that shall run,
// the components, are of type EXT ("freplace") and replace the stubs. Which
// results of a component let the next one run, and its priority, stand in the
// dispatcher's read-only data. A dispatcher is never changed: whoever adds or
// removes a component makes a new one, links every component to it too, and
// exchanges the two in one system call, so no packet meets half a chain.
//
// The links of the components are pinned in
// BPFFS/xdp/dispatch-IFINDEX-ID/prog{N}-prog and prog{N}-link, and the folder
// BPFFS/xdp is locked while they change. What the protocol demands is described in
// xdp-tools, lib/libxdp/protocol.org.
//
// Doors: [Read] needs nothing and changes nothing; [Open] takes the lock.
package dispatcher
