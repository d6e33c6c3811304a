// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// prober is a hook that needs more of the kernel than its program type.
type prober interface {
	// probe is nil, or an [UnsupportedError] that says what is missing.
	probe() error
}

// Support says of every hook whether this kernel can do it, in the order of
// [inspect.Hooks]. It loads small programs to find out, and needs what loading
// needs; without that, it returns a [PermissionError].
func Support() ([]HookSupport, error) {
	if err := needBPF("asking the kernel what it supports"); err != nil {
		return nil, err
	}
	var list []HookSupport
	known := implementations()
	for _, info := range inspect.Hooks() {
		s := HookSupport{Hook: info.Name}
		if h := known[info.Name]; h != nil {
			s.Known = true
			s.Err = probeHook(h)
		}
		list = append(list, s)
	}
	return list, nil
}

func probeHook(h hook) error {
	err := features.HaveProgramType(h.programType())
	if errors.Is(err, ebpf.ErrNotSupported) {
		return unsupported(fmt.Sprintf("programs of type %s", h.programType()), "")
	}
	if p, ok := h.(prober); ok && err == nil {
		return p.probe()
	}
	return err
}
