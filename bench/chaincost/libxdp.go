// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

// libxdpConfig is the configuration of libxdp's dispatcher, version 2 (xdp-tools,
// lib/libxdp/protocol.org).
type libxdpConfig struct {
	Magic, Version, Enabled, Frags uint8
	ProceedOn, Priorities, Flags   [dispatcher.Slots]uint32
}

// libxdpDispatcher is one of libxdp's and what holds its components.
type libxdpDispatcher struct {
	dispatcher *ebpf.Program
	links      []link.Link
}

// Close takes it away.
func (l *libxdpDispatcher) Close() error {
	errs := []error{l.dispatcher.Close()}
	for _, one := range l.links {
		errs = append(errs, one.Close())
	}
	return joined.Errors(errs...)
}

// libxdpChain puts the programs behind the dispatcher in the ELF file at path, as
// libxdp would fill it in.
func libxdpChain(path string, programs []*ebpf.Program) (*libxdpDispatcher, error) {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		return nil, fmt.Errorf("reading libxdp's dispatcher: %w", err)
	}
	conf := libxdpConfig{Magic: 236, Version: 2, Enabled: uint8(len(programs))}
	for i := range programs {
		conf.ProceedOn[i], conf.Priorities[i] = 1<<31|1<<xdpPass, dispatcher.DefaultPriority
	}
	data, err := binary.Append(nil, binary.NativeEndian, conf)
	if err != nil {
		return nil, err
	}
	spec.Maps[".rodata"].Contents[0].Value = data
	var objects struct {
		Dispatcher *ebpf.Program `ebpf:"xdp_dispatcher"`
	}
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		return nil, fmt.Errorf("loading libxdp's dispatcher: %w", err)
	}
	l := &libxdpDispatcher{dispatcher: objects.Dispatcher}
	for i, p := range programs {
		function := fmt.Sprintf("prog%d", i)
		if len(programs) == 1 {
			function = "xdp_dispatcher" // as libxdp does with one
		}
		held, err := link.AttachFreplace(l.dispatcher, function, p)
		if err != nil {
			return nil, joined.Errors(fmt.Errorf("linking a program to libxdp's dispatcher: %w", err), l.Close())
		}
		l.links = append(l.links, held)
	}
	return l, nil
}
