// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// lsmHook attaches to a decision of the kernel's security modules, which the
// program takes part in: file_open, bprm_check_security, …
type lsmHook struct{}

// Where the kernel lists its active security modules, and what the functions
// of the one for BPF are called.
const (
	activeLSMs      = "/sys/kernel/security/lsm"
	lsmSymbolPrefix = "bpf_lsm_"
)

func (lsmHook) programType() ebpf.ProgramType { return ebpf.LSM }
func (lsmHook) capability() capability        { return unix.CAP_PERFMON }
func (lsmHook) networked() bool               { return false }

// prepare refuses a kernel whose BPF security module is not built in, not
// active, or has no such hook. Without the module being active a program would
// load and attach, and never be called.
func (lsmHook) prepare(_ context.Context, h *host, p *placement) error {
	if err := needKernelTypes(p); err != nil {
		return err
	}
	if err := findLSMHook(h, p); err != nil {
		return err
	}
	active, err := os.ReadFile(activeLSMs)
	if err != nil {
		p.notice(h.log, "%s cannot be read, so it is not known whether the BPF security module is active; if it is not, program %q is never called: boot with bpf in lsm=",
			activeLSMs, p.link.Program)
	} else if err := checkActiveLSMs(p, string(active)); err != nil {
		return err
	}
	p.fixTarget(ebpf.AttachLSMMac)
	return nil
}

// findLSMHook looks the target up among the hooks the kernel was built with.
func findLSMHook(h *host, p *placement) error {
	found, built := false, false
	err := kernelFunctions(func(symbol string) bool {
		name, ok := strings.CutPrefix(symbol, lsmSymbolPrefix)
		built = built || ok
		found = ok && name == p.link.Target
		return !found
	})
	switch {
	case err != nil:
		h.log.Debug("kernel symbols cannot be read", "error", err)
		return nil // loading will tell
	case !built:
		return fmt.Errorf("%s: %w", p, unsupported("the BPF security module (CONFIG_BPF_LSM)", ""))
	case !found:
		return fmt.Errorf("%s: %w: this kernel (%s) has no LSM hook %q that BPF programs can take", p, ErrNoTarget, kernelRelease(), p.link.Target)
	}
	return nil
}

// checkActiveLSMs refuses a list of security modules, separated by commas,
// without BPF's.
func checkActiveLSMs(p *placement, list string) error {
	list = strings.TrimSpace(list)
	if slices.Contains(strings.Split(list, ","), "bpf") {
		return nil
	}
	boot := strings.TrimPrefix(list+",bpf", ",")
	return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf(
		"the BPF security module is not active: boot with the kernel parameter lsm=%s: %w", boot, unix.EOPNOTSUPP)}
}

func (lsmHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	l, err := link.AttachLSM(link.LSMOptions{Program: prog})
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("LSM hook %q takes no further program: %w", p.link.Target, err)
		return nil, &KernelError{Op: "attaching " + p.String(), Err: err}
	}
	return l, trampolineError(p, err)
}
