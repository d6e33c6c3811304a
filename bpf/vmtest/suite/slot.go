// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// XDP's verdicts (enum xdp_action of linux/bpf.h).
const (
	xdpDrop = 1
	xdpPass = 2
)

// slotCalls is how often callSlot calls.
const slotCalls = 3

// loadSlot loads an XDP program, number $SLOT, whose function decide says that
// every packet is to be dropped, until another says otherwise. It is attached to
// nothing: the kernel can call it without packets.
func loadSlot(e *env) error {
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	context := &btf.Pointer{Target: &btf.Struct{Name: "xdp_md", Size: 4, Members: []btf.Member{{Name: "data", Type: integer}}}}
	function := func(name string, linkage btf.FuncLinkage) *btf.Func {
		proto := &btf.FuncProto{Return: integer, Params: []btf.FuncParam{{Name: "ctx", Type: context}}}
		return &btf.Func{Name: name, Type: proto, Linkage: linkage}
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "with_slot", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{
			btf.WithFuncMetadata(asm.Call.Label("decide").WithSymbol("with_slot"), function("with_slot", btf.GlobalFunc)),
			asm.Return(),
			btf.WithFuncMetadata(asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("decide"), function("decide", btf.GlobalFunc)),
			asm.Return(),
		},
	})
	if err != nil {
		return fmt.Errorf("loading a program to replace a function of: %w", err)
	}
	info, err := prog.Info()
	if err != nil {
		return errors.Join(err, prog.Close())
	}
	id, _ := info.ID()
	e.set("SLOT", fmt.Sprint(id))
	// Closing twice is no error.
	e.cleanup(prog.Close)
	e.slot = prog
	return nil
}

// callSlot calls the program, and expects the verdict of the one that replaces its
// function.
func callSlot(e *env) error {
	for range slotCalls {
		verdict, _, err := e.slot.Test(make([]byte, 64))
		if err == nil && verdict != xdpPass {
			err = fmt.Errorf("the verdict is %d, want %d", verdict, xdpPass)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unloadSlot lets go of the program, which the replacement holds until it goes.
func unloadSlot(e *env) error {
	info, err := e.slot.Info()
	if err != nil {
		return err
	}
	id, _ := info.ID()
	if err := e.slot.Close(); err != nil {
		return err
	}
	again, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the replacement does not hold program %d", id)
	}
	if err != nil {
		return err
	}
	return again.Close()
}
