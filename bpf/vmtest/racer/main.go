// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command racer changes the chain of XDP programs on an interface many times, in
// one process: starting bpfimg anew for every change takes an emulated processor
// most of a second. It takes the lock, puts a program in, sees that it is there
// among those that stay, and takes it out under another lock.
//
//	racer INTERFACE OBJECT PROGRAM PRIORITY ROUNDS [STAYING…]
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "racer:", err)
		os.Exit(1)
	}
}

// racer is what the command line says.
type racer struct {
	ifindex         int
	object, program string
	priority        uint32
	staying         []string
}

func run(ctx context.Context, args []string) error {
	if len(args) < 5 {
		return errors.New("usage: racer INTERFACE OBJECT PROGRAM PRIORITY ROUNDS [STAYING]")
	}
	iface, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	priority, err := strconv.ParseUint(args[3], 10, 32)
	if err != nil {
		return err
	}
	rounds, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	r := racer{ifindex: iface.Index, object: args[1], program: args[2], priority: uint32(priority), staying: args[5:]}
	for round := range rounds {
		if err := r.round(ctx); err != nil {
			return fmt.Errorf("round %d: %w", round+1, err)
		}
	}
	return nil
}

// round puts the program into the chain and takes it out.
func (r racer) round(ctx context.Context) error {
	id, err := r.add(ctx)
	if err != nil {
		return fmt.Errorf("adding: %w", err)
	}
	if err := r.check(ctx, id); err != nil {
		return err
	}
	if err := r.remove(ctx, id); err != nil {
		return fmt.Errorf("removing: %w", err)
	}
	return nil
}

func (r racer) add(ctx context.Context) (id uint32, err error) {
	d, err := dispatcher.Open(ctx, dispatcher.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	loaded, err := r.load(d)
	if err != nil {
		return 0, err
	}
	defer loaded.Close()
	prog := loaded.Programs[r.program]
	info, err := prog.Info()
	if err != nil {
		return 0, err
	}
	proceed, err := dispatcher.ParseActions("pass")
	if err != nil {
		return 0, err
	}
	_, err = d.Add(ctx, r.ifindex, "", dispatcher.New{Program: prog, Name: r.program, Priority: r.priority, ProceedOn: proceed})
	programID, _ := info.ID()
	return uint32(programID), err
}

// load loads the object's program as a component.
func (r racer) load(d *dispatcher.Dispatchers) (*ebpf.Collection, error) {
	spec, err := ebpf.LoadCollectionSpec(r.object)
	if err != nil {
		return nil, err
	}
	p := spec.Programs[r.program]
	if p == nil {
		return nil, fmt.Errorf("%s has no program %q", r.object, r.program)
	}
	target, function, err := d.Target()
	if err != nil {
		return nil, err
	}
	p.Type, p.AttachType, p.AttachTarget, p.AttachTo = ebpf.Extension, ebpf.AttachNone, target, function
	return ebpf.NewCollection(spec)
}

// check makes sure that the chain has the program and those that stay, in order.
func (r racer) check(ctx context.Context, id uint32) error {
	state, err := dispatcher.Read(ctx, r.ifindex)
	if err != nil {
		return err
	}
	if state.Chain == nil {
		return fmt.Errorf("there is no chain after program %d was added: %+v", id, state)
	}
	found, staying := false, r.staying
	for _, p := range state.Chain.Programs {
		found = found || p.ID == id
		if len(staying) > 0 && p.Name == staying[0] {
			staying = staying[1:]
		}
	}
	sorted := slices.IsSortedFunc(state.Chain.Programs, func(a, b dispatcher.Program) int { return int(a.Priority) - int(b.Priority) })
	if !found || len(staying) > 0 || !sorted {
		return fmt.Errorf("the chain should have program %d and %q, in order: %+v", id, r.staying, state.Chain)
	}
	return nil
}

func (r racer) remove(ctx context.Context, id uint32) (err error) {
	d, err := dispatcher.Open(ctx, dispatcher.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Remove(ctx, r.ifindex, id)
}
