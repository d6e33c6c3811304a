// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"errors"
	"fmt"
)

// The fixed numbers of the protocol (xdp-tools, lib/libxdp/protocol.org).
const (
	// Slots is how many programs a dispatcher calls.
	Slots = 10
	// Version is the version of the protocol that this package speaks; dispatchers of
	// another one are shown and never changed.
	Version = 2
	// DefaultPriority is the priority of a program that has none of its own; lower
	// ones run earlier.
	DefaultPriority = 50
)

// Modes of attaching a dispatcher, as [Chain] and [Single] spell them.
const (
	ModeNative  = "native"  // by the driver
	ModeGeneric = "generic" // by the network stack
	ModeOffload = "offload" // by the device
)

// Program is a component of a dispatcher.
type Program struct {
	// Slot is the number of the stub it replaces, from 0.
	Slot int
	// ID is the kernel's id of the program.
	ID uint32
	// Name is the name of its function, from its BTF where the kernel cut it.
	Name string
	// Tag is the kernel's hash of its instructions, in hexadecimal.
	Tag string
	// Priority says where it runs; lower ones run earlier.
	Priority uint32
	// ProceedOn are its results after which the next program runs.
	ProceedOn Actions
	// Frags says that it takes packets in several buffers.
	Frags bool
}

// Chain is a dispatcher and what it calls.
type Chain struct {
	// Ifindex is the number of the network interface.
	Ifindex int
	// Mode is how it is attached: one of the Mode constants.
	Mode string
	// ID is the kernel's id of the dispatcher.
	ID uint32
	// Version is that of the protocol: 1 or 2.
	Version int
	// Frags says that the dispatcher takes packets in several buffers.
	Frags bool
	// Programs are the components that are linked to it, in the order in which they
	// run.
	Programs []Program
	// NotNative is what the driver said to the native mode, when [Dispatchers.Add]
	// therefore took the generic one; else nil. [Read] does not know it.
	NotNative error
}

// Single is an XDP program that is attached without a dispatcher.
type Single struct {
	// ID is the kernel's id of the program.
	ID uint32
	// Name is the name of its function.
	Name string
	// Mode is how it is attached: one of the Mode constants.
	Mode string
	// Link says that a bpf_link holds it there, so that nobody else can replace it.
	Link bool
}

// State is what is on an interface's XDP slot; nothing when all of it is empty.
type State struct {
	// Chain is the dispatcher, nil when there is none.
	Chain *Chain
	// Single are the programs that are no dispatchers.
	Single []Single
}

// Options configures [Open].
type Options struct {
	// BPFFS is the mounted BPF file system in which the folder xdp is; by default
	// that of the environment variable LIBXDP_BPFFS, or /sys/fs/bpf.
	BPFFS string
	// At, when not nil, is called before each step by its name; an error ends the
	// operation there and undoes it. Tests fail or kill the process in it. The steps
	// are, N being a slot: "load", "link N" for each, "make folder", "pin link N" and
	// "pin program N" for each, "attach", and, when it is done, "unpin"; where the
	// last program goes they are "detach" and "unpin".
	At func(step string) error
}

// What callers decide on.
var (
	// ErrFull says that the dispatcher calls [Slots] programs already.
	ErrFull = errors.New("the dispatcher is full")
	// ErrGone says that the program is not among the dispatcher's.
	ErrGone = errors.New("the program is not in the chain")
	// ErrVersion says that the dispatcher there is of another version of the
	// protocol, and must not be replaced.
	ErrVersion = errors.New("dispatcher of another version")
	// ErrUnsupported says that the kernel or the privileges allow no program that
	// replaces a function of another one (freplace).
	ErrUnsupported = errors.New("no freplace here")
)

// SingleError says that a program which is no dispatcher is in the XDP slot.
type SingleError struct{ Single }

func (e *SingleError) Error() string {
	held := ""
	if e.Link {
		held = ", held by a bpf_link"
	}
	return fmt.Sprintf("the XDP slot is taken by program %d %q (%s mode%s), which is no dispatcher", e.ID, e.Name, e.Mode, held)
}
