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
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

const (
	// repeat is how often a program runs for one number, rounds how many numbers
	// there are of each; the lowest counts, since nothing makes a program faster.
	repeat, rounds = 100_000, 7
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
	defer func() { err = errors.Join(err, out.Close()) }()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: iface}, PeerName: iface + "1"}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("making a veth pair: %w", err)
	}
	defer func() { err = errors.Join(err, netlink.LinkDel(veth)) }()
	bare, err := ebpf.NewProgram(pass(0))
	if err != nil {
		return fmt.Errorf("loading a program: %w", err)
	}
	defer bare.Close()
	alone, err := perPacket(bare)
	if err != nil {
		return err
	}
	d, err := dispatcher.Open(ctx, dispatcher.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return chains(ctx, d, veth.Attrs().Index, theirs, alone, out)
}

// chains grows a chain program by program, and measures some lengths of it.
func chains(ctx context.Context, d *dispatcher.Dispatchers, ifindex int, theirs string, alone time.Duration, out io.Writer) error {
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
		ours, err := attached(chain.ID)
		if err != nil {
			return err
		}
		libxdp, err := libxdpChain(theirs, programs)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "chaincost %d %d %d %d %d\n", n, alone.Nanoseconds(), ours.Nanoseconds(), libxdp.Nanoseconds(), attach.Microseconds())
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

// attached measures a program that somebody holds.
func attached(id uint32) (time.Duration, error) {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return 0, fmt.Errorf("opening the dispatcher: %w", err)
	}
	defer p.Close()
	return perPacket(p)
}

// perPacket is the time of one run.
func perPacket(p *ebpf.Program) (time.Duration, error) {
	best := time.Duration(0)
	for range rounds {
		result, took, err := p.Benchmark(make([]byte, 64), repeat, nil)
		if err != nil {
			return 0, fmt.Errorf("running a program: %w", err)
		}
		if result != xdpPass {
			return 0, fmt.Errorf("a program returned %d", result)
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}
