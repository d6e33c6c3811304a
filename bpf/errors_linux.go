// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// errnoNotSupp is ENOTSUPP, which the kernel's own headers do not export to user
// space and drivers return all the same (linux/errno.h).
const errnoNotSupp = unix.Errno(524)

// attachError puts the kernel's answer to an attachment into words. feature and
// since say what a kernel that does not know the request lacks.
func attachError(p *placement, feature, since string, err error) error {
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("attaching %s: %w", p, unsupported(feature, since))
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("attaching %s: %w: %q is gone: %w", p, ErrNoTarget, p.link.Target, err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		err = fmt.Errorf("permission refused although the capability is held (a security module, or a user namespace): %w", err)
	}
	return &KernelError{Op: "attaching " + p.String(), Err: err}
}

// errnoText is the system's short words for the errno in err, or all of err.
func errnoText(err error) string {
	if errno := unix.Errno(0); errors.As(err, &errno) {
		if errno == errnoNotSupp {
			return unix.EOPNOTSUPP.Error()
		}
		return errno.Error()
	}
	return err.Error()
}

// programError puts the kernel's answer to a program into words.
func programError(name string, spec *ebpf.ProgramSpec, err error) error {
	op := fmt.Sprintf("loading program %q", name)
	if err := fixedTargetError(name, spec, err); err != nil {
		return err
	}
	if errors.Is(features.HaveProgramType(spec.Type), ebpf.ErrNotSupported) {
		return fmt.Errorf("%s: %w", op, unsupported(fmt.Sprintf("programs of type %s", spec.Type), ""))
	}
	var rejected *ebpf.VerifierError
	if errors.As(err, &rejected) && len(rejected.Log) > 0 {
		return &KernelError{Op: op, Log: strings.Join(rejected.Log, "\n") + "\n", Err: rejection(spec, rejected)}
	}
	if errors.Is(err, unix.EPERM) {
		kind := fmt.Sprintf("programs of type %s", spec.Type)
		if hook := fixedKind(spec); hook != "" {
			// The type alone does not say it: a kernel may take tp_btf and no fentry.
			kind = hook + " programs"
		}
		err = fmt.Errorf("%s are not permitted here although the capability is held (built without, locked down, or a user namespace): %w",
			kind, unix.EPERM)
	}
	return &KernelError{Op: op, Err: err}
}

// rejection says why the verifier rejected a program.
func rejection(spec *ebpf.ProgramSpec, rejected *ebpf.VerifierError) error {
	if strings.Contains(rejected.Cause.Error(), "CO-RE relocation") {
		return fmt.Errorf("it needs a type, field or value that this kernel (%s) does not have, or has in several forms: %w", kernelRelease(), rejected.Cause)
	}
	if n := unknownHelper(rejected.Log); n > 0 && !kernelSince(inspect.HelperSince(n)) {
		return fmt.Errorf("%w: %w", unsupported("helper "+inspect.HelperName(n), inspect.HelperSince(n)), rejected.Cause)
	}
	if gpl := gplHelper(rejected.Log); gpl != "" {
		return fmt.Errorf("it calls %s, which is for GPL-compatible programs only, and its license is %q: %w", gpl, spec.License, rejected.Cause)
	}
	return fmt.Errorf("the verifier rejected it: %s: %w", logSummary(rejected.Log), rejected.Cause)
}

// mapError puts the kernel's answer to a map into words.
func mapError(name string, spec *ebpf.MapSpec, err error) error {
	op := fmt.Sprintf("creating map %q", name)
	if errors.Is(features.HaveMapType(spec.Type), ebpf.ErrNotSupported) {
		return fmt.Errorf("%s: %w", op, unsupported(fmt.Sprintf("maps of type %s", spec.Type), ""))
	}
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("not permitted although the capability is held (a user namespace, or a security module): %w", unix.EPERM)
	}
	return &KernelError{Op: op, Err: err}
}

// logSummary is the verifier's own last words: the last line that is neither
// statistics nor an instruction.
func logSummary(log []string) string {
	for _, line := range slices.Backward(log) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "processed ") && !strings.HasPrefix(line, "verification time ") &&
			!strings.HasPrefix(line, "stack depth ") {
			return line
		}
	}
	return "it gave no reason"
}

// gplHelper is the helper that a program without a GPL-compatible license called,
// "" when that is not what the log complains about (the verifier's words since
// Linux 4.4).
func gplHelper(log []string) string {
	for i, line := range log {
		if !strings.Contains(line, "cannot call GPL") {
			continue
		}
		for _, before := range slices.Backward(log[:i]) {
			// 3: (85) call bpf_probe_read_kernel#113
			if _, call, ok := strings.Cut(before, ") call "); ok {
				helper, _, _ := strings.Cut(call, "#")
				return "helper " + helper
			}
		}
		return "a helper"
	}
	return ""
}

// unknownHelper is the number of the helper that the verifier does not know, or
// not for this type of program, 0 when it complains about something else. Its
// words are "invalid func unknown#211" where the kernel has no such helper, and
// "unknown func bpf_loop#181" or, since Linux 6.7, "program of this type cannot
// use helper bpf_loop#181".
func unknownHelper(log []string) int64 {
	for _, line := range slices.Backward(log) {
		if !strings.Contains(line, "invalid func ") && !strings.Contains(line, "unknown func ") && !strings.Contains(line, "cannot use helper ") {
			continue
		}
		_, number, _ := strings.Cut(line, "#")
		number, _, _ = strings.Cut(number, " ")
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}
