// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"errors"

	"github.com/cilium/ebpf"
)

var errTodo = errors.New("not yet")

// Read says what is on the XDP slot of the interface ifindex of the calling
// thread's network namespace. It changes nothing and takes no lock.
func Read(ctx context.Context, ifindex int) (State, error) { return State{}, errTodo }

// Dispatchers is the right to change dispatchers: the lock that all users of the
// protocol take.
type Dispatchers struct{}

// Open takes the lock, and waits for it until ctx ends.
func Open(ctx context.Context, opts Options) (*Dispatchers, error) { return nil, errTodo }

// Close gives the lock up.
func (d *Dispatchers) Close() error { return nil }

// Target is a dispatcher that is attached nowhere, and the name of a function of
// it: programs of type EXT are loaded with these as AttachTarget and AttachTo.
// The program is closed with d.
func (d *Dispatchers) Target() (prog *ebpf.Program, function string, err error) {
	return nil, "", errTodo
}

// New is a program to be put into a chain.
type New struct {
	// Program is loaded as type EXT against [Dispatchers.Target].
	Program *ebpf.Program
	// Name is the name of its function, up to any length.
	Name string
	// Priority says where it runs; lower ones run earlier.
	Priority uint32
	// ProceedOn are its results after which the next program runs.
	ProceedOn Actions
	// Frags says that it takes packets in several buffers.
	Frags bool
}

// Add puts n into the chain of the interface, by its priority. The first one
// brings a dispatcher, attached by mode; mode "" is native where the driver can
// and else generic.
func (d *Dispatchers) Add(ctx context.Context, ifindex int, mode string, n New) (Chain, error) {
	return Chain{}, errTodo
}

// Remove takes the program out of the chain, and the last one the dispatcher with
// it.
func (d *Dispatchers) Remove(ctx context.Context, ifindex int, programID uint32) error {
	return errTodo
}

// Exchange puts to in the place of the program from, in one step.
func (d *Dispatchers) Exchange(ctx context.Context, ifindex int, from uint32, to New) (Chain, error) {
	return Chain{}, errTodo
}

// Stale lists the pin folders of dispatchers that are attached to no interface in
// any network namespace, as a process leaves them that was killed, and removes
// them.
func (d *Dispatchers) Stale(ctx context.Context) ([]string, error) { return nil, errTodo }

// Supported is nil where the kernel and the privileges allow what this package
// does, and else wraps [ErrUnsupported] and says the reason.
func Supported() error { return errTodo }
