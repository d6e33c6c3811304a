// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command chaincost measures what sharing an XDP hook costs: attaching the n-th
// program of a chain, and the dispatcher's part of the time a packet takes,
// against a bare program and against libxdp's own dispatcher. `make bench` runs
// it, in a virtual machine where this kernel lets no function be replaced.
//
// It needs root, a BPF file system and no network; it prints a line of numbers
// for each length of chain, which bench reads.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

const (
	// repeat is how often a program runs for one number, rounds how many numbers
	// there are of each; the lowest counts, since nothing makes a program faster.
	repeat, rounds = 50_000, 20
	iface          = "bpfimgcost"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chaincost LIBXDP-DISPATCHER.o OUTPUT")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "chaincost:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, theirs, output string) (err error) {
	out, err := os.OpenFile(output, os.O_WRONLY, 0) // a terminal or a pipe
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, out.Close()) }()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: iface}, PeerName: iface + "1"}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("making a veth pair: %w", err)
	}
	defer func() { err = joined.Errors(err, netlink.LinkDel(veth)) }()
	bare, err := ebpf.NewProgram(pass(0))
	if err != nil {
		return fmt.Errorf("loading a program: %w", err)
	}
	defer bare.Close()
	d, err := dispatcher.Open(ctx, dispatcher.Options{})
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	return chains(ctx, d, veth.Attrs().Index, theirs, bare, out)
}

// chains grows a chain program by program, and measures some lengths of it.
func chains(ctx context.Context, d *dispatcher.Dispatchers, ifindex int, theirs string, bare *ebpf.Program, out io.Writer) error {
	target, function, err := d.Target()
	if err != nil {
		return err
	}
	var programs []*ebpf.Program
	defer func() {
		for _, p := range programs {
			p.Close()
		}
	}()
	for n := 1; n <= dispatcher.Slots; n++ {
		spec := pass(n)
		spec.Type, spec.AttachTarget, spec.AttachTo = ebpf.Extension, target, function
		p, err := ebpf.NewProgram(spec)
		if err != nil {
			return fmt.Errorf("loading a component: %w", err)
		}
		programs = append(programs, p)
		start := time.Now()
		chain, err := d.Add(ctx, ifindex, "", dispatcher.New{
			Program: p, Name: spec.Name, Priority: dispatcher.DefaultPriority, ProceedOn: 1 << xdpPass,
		})
		if err != nil {
			return err
		}
		attach := time.Since(start)
		took, err := compare(bare, chain.ID, theirs, programs)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "chaincost %d %d %d %d %d\n", n, took[0].Nanoseconds(), took[1].Nanoseconds(), took[2].Nanoseconds(), attach.Microseconds())
	}
	for _, p := range programs {
		id, err := programID(p)
		if err != nil {
			return err
		}
		if err := d.Remove(ctx, ifindex, id); err != nil {
			return err
		}
	}
	return nil
}

func programID(p *ebpf.Program) (uint32, error) {
	info, err := p.Info()
	if err != nil {
		return 0, err
	}
	id, _ := info.ID()
	return uint32(id), nil
}

// xdpPass is XDP_PASS (enum xdp_action, linux/bpf.h).
const xdpPass = 2

// pass is a program that lets every packet go on.
func pass(n int) *ebpf.ProgramSpec {
	name := fmt.Sprintf("pass%d", n)
	function := &btf.Func{Name: name, Linkage: btf.GlobalFunc, Type: &btf.FuncProto{
		Return: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed},
		Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Struct{Name: "xdp_md", Size: 24}}}},
	}}
	return &ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{
			btf.WithFuncMetadata(asm.Mov.Imm(asm.R0, xdpPass).WithSymbol(name), function),
			asm.Return(),
		},
	}
}

// compare measures a bare program, our dispatcher, which is attached, and libxdp's
// in the file at path with the same components.
func compare(bare *ebpf.Program, id uint32, path string, components []*ebpf.Program) (took [3]time.Duration, err error) {
	ours, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return took, fmt.Errorf("opening the dispatcher: %w", err)
	}
	defer ours.Close()
	theirs, err := libxdpChain(path, components)
	if err != nil {
		return took, err
	}
	defer func() { err = joined.Errors(err, theirs.Close()) }()
	// In turn, so that what else the machine does is in all of them.
	for range rounds {
		for i, p := range []*ebpf.Program{bare, ours, theirs.dispatcher} {
			one, err := perPacket(p)
			if err != nil {
				return took, err
			}
			if took[i] == 0 || one < took[i] {
				took[i] = one
			}
		}
	}
	return took, nil
}

// perPacket is the time of one run.
func perPacket(p *ebpf.Program) (time.Duration, error) {
	result, took, err := p.Benchmark(make([]byte, 64), repeat, nil)
	if err != nil {
		return 0, fmt.Errorf("running a program: %w", err)
	}
	if result != xdpPass {
		return 0, fmt.Errorf("a program returned %d", result)
	}
	return took, nil
}
