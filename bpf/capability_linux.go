// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// capability is one of the numbers of linux/capability.h.
type capability uint

// capabilityNames are those bpfimg ever asks for (capabilities(7)).
func (c capability) String() string {
	switch c {
	case unix.CAP_NET_ADMIN:
		return "CAP_NET_ADMIN"
	case unix.CAP_NET_RAW:
		return "CAP_NET_RAW"
	case unix.CAP_SYS_PTRACE:
		return "CAP_SYS_PTRACE"
	case unix.CAP_PERFMON:
		return "CAP_PERFMON"
	case unix.CAP_BPF:
		return "CAP_BPF"
	case unix.CAP_SYS_ADMIN:
		return "CAP_SYS_ADMIN"
	}
	return fmt.Sprintf("capability %d", uint(c))
}

// capabilitySet holds the effective capabilities of a thread, one bit each.
type capabilitySet uint64

// effectiveCapabilities asks the kernel for those of the calling thread.
func effectiveCapabilities() (capabilitySet, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, fmt.Errorf("reading this process's capabilities: %w", err)
	}
	return capabilitySet(data[0].Effective) | capabilitySet(data[1].Effective)<<32, nil
}

func (s capabilitySet) has(c capability) bool { return s&(1<<c) != 0 }

// require checks that s has c. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON
// as in the kernel, and is all there was before Linux 5.8 split them off.
func (s capabilitySet) require(op string, c capability, split bool) error {
	newer := c == unix.CAP_BPF || c == unix.CAP_PERFMON
	if (s.has(c) && (split || !newer)) || (newer && s.has(unix.CAP_SYS_ADMIN)) {
		return nil
	}
	name := c.String()
	if newer && !split {
		name = capability(unix.CAP_SYS_ADMIN).String()
	} else if newer {
		name += " or CAP_SYS_ADMIN"
	}
	return &PermissionError{Op: op, Capability: name, Err: unix.EPERM}
}

// needBPF checks for what every bpf(2) call of ours needs.
func needBPF(op string) error {
	set, err := effectiveCapabilities()
	if err != nil {
		return err
	}
	return set.require(op, unix.CAP_BPF, kernelAtLeast(5, 8))
}

// Permitted returns a [PermissionError] when this process may not load programs
// at all, so that a command can say so before it downloads anything. What a hook
// needs beyond that is checked by Run.
func (m *Manager) Permitted() error { return needBPF("loading BPF programs") }

// checkCapabilities asks for everything p will need, before anything is touched.
func (p *plan) checkCapabilities(set capabilitySet) error {
	split := kernelAtLeast(5, 8)
	if err := set.require("loading BPF programs", unix.CAP_BPF, split); err != nil {
		return err
	}
	for _, pl := range p.placements {
		if err := set.require("attaching "+pl.String(), pl.hook.capability(), split); err != nil {
			return err
		}
	}
	return nil
}
