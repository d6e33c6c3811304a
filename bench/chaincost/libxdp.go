// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

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

// libxdpChain measures the programs behind the dispatcher in the ELF file at path,
// as libxdp would fill it in.
func libxdpChain(path string, programs []*ebpf.Program) (took time.Duration, err error) {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		return 0, fmt.Errorf("reading libxdp's dispatcher: %w", err)
	}
	conf := libxdpConfig{Magic: 236, Version: 2, Enabled: uint8(len(programs))}
	for i := range programs {
		conf.ProceedOn[i], conf.Priorities[i] = 1<<31|1<<xdpPass, dispatcher.DefaultPriority
	}
	data, err := binary.Append(nil, binary.NativeEndian, conf)
	if err != nil {
		return 0, err
	}
	spec.Maps[".rodata"].Contents[0].Value = data
	var objects struct {
		Dispatcher *ebpf.Program `ebpf:"xdp_dispatcher"`
	}
	if err := spec.LoadAndAssign(&objects, nil); err != nil {
		return 0, fmt.Errorf("loading libxdp's dispatcher: %w", err)
	}
	defer objects.Dispatcher.Close()
	for i, p := range programs {
		l, err := link.AttachFreplace(objects.Dispatcher, fmt.Sprintf("prog%d", i), p)
		if err != nil {
			return 0, fmt.Errorf("linking a program to libxdp's dispatcher: %w", err)
		}
		defer func() { err = errors.Join(err, l.Close()) }()
	}
	return perPacket(objects.Dispatcher)
}
