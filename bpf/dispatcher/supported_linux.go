// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// UnsupportedError says why no program can take the place of a function of
// another one. It is [ErrUnsupported].
type UnsupportedError struct {
	// Reason is a sentence without an end.
	Reason string
	// Err is what the kernel said.
	Err error
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("several XDP programs on an interface need programs that replace a function of another (freplace): %s: %v", e.Reason, e.Err)
}

// Unwrap makes it [ErrUnsupported] and what the kernel said.
func (e *UnsupportedError) Unwrap() []error { return []error{ErrUnsupported, e.Err} }

// Supported is nil where the kernel and the privileges allow what this package
// does, and else an [UnsupportedError]. It tries: what refuses is often a security
// module or how the kernel was built, which a version does not tell.
func Supported() error {
	first, err := loadScratch()
	if err != nil {
		return &UnsupportedError{Reason: "no dispatcher loads here", Err: err}
	}
	defer first.Close()
	probe, err := loadProbe(first, stubName(0))
	if err != nil {
		return refusal(err, "the kernel loads none of type EXT")
	}
	defer probe.Close()
	second, err := loadScratch()
	if err != nil {
		return &UnsupportedError{Reason: "no dispatcher loads here", Err: err}
	}
	defer second.Close()
	types, err := typesOf(second)
	if err != nil {
		return err
	}
	l, err := linkTo(second, types, stubName(0), probe)
	if err != nil {
		return refusal(err, "the kernel links them only to the program they were loaded for (5.10 and newer do not)")
	}
	return l.Close()
}

func refusal(err error, reason string) error {
	if errors.Is(err, unix.EPERM) {
		err = unix.EPERM // the library guesses at memory limits
		reason = "the kernel, a security module of it, or missing privileges (CAP_SYS_ADMIN) forbid it"
	}
	return &UnsupportedError{Reason: reason, Err: err}
}

// loadProbe loads the smallest component against a function of target.
func loadProbe(target *ebpf.Program, function string) (*ebpf.Program, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("reading our dispatcher: %w", err)
	}
	probe := spec.Programs[probeFunction]
	if probe == nil {
		return nil, fmt.Errorf("our object lacks %s", probeFunction)
	}
	probe.AttachTarget, probe.AttachTo = target, function
	return ebpf.NewProgram(probe)
}
