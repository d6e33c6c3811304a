// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// tracingHook attaches a program whose target the verifier checks by the
// kernel's own types: a tracepoint (tp_btf), or the entry (fentry), the return
// (fexit) or the result (fmod_ret) of a kernel function.
type tracingHook struct{ at ebpf.AttachType }

// kernelTypes is where the kernel shows its BTF.
const kernelTypes = "/sys/kernel/btf/vmlinux"

func (tracingHook) programType() ebpf.ProgramType { return ebpf.Tracing }
func (tracingHook) capability() capability        { return unix.CAP_PERFMON }
func (tracingHook) networked() bool               { return false }

// prepare looks the target up, and has the program loaded for it.
func (t tracingHook) prepare(_ context.Context, h *host, p *placement) error {
	if err := needKernelTypes(p); err != nil {
		return err
	}
	if t.at == ebpf.AttachTraceRawTp {
		if err := findTracepoint(h, p); err != nil {
			return err
		}
	} else if err := findFunction(h, p); err != nil {
		return err
	}
	p.fixTarget(t.at)
	return nil
}

func (t tracingHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	l, err := link.AttachTracing(link.TracingOptions{Program: prog, AttachType: t.at})
	return l, trampolineError(p, err)
}

// fixTarget has the program loaded for the placement's target: the kernel takes
// it with the program, not with the attachment. Where the section names another
// target, what was asked for wins.
func (p *placement) fixTarget(at ebpf.AttachType) {
	p.spec.AttachType, p.spec.AttachTo = at, p.link.Target
}

// needKernelTypes refuses a kernel that does not know its own types.
func needKernelTypes(p *placement) error {
	if _, err := os.Stat(kernelTypes); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", p, unsupported("its types (CONFIG_DEBUG_INFO_BTF), by which the verifier finds the target", ""))
	}
	return nil
}

// findFunction refuses a function that neither the kernel nor a loaded module
// has.
func findFunction(h *host, p *placement) error {
	found, err := haveSymbol(p.link.Target)
	if err != nil {
		h.log.Debug("kernel symbols cannot be read", "error", err)
		return nil // loading will tell
	}
	if !found {
		return fmt.Errorf("%s: %w: this kernel (%s) has no function %q", p, ErrNoTarget, kernelRelease(), p.link.Target)
	}
	return nil
}

// trampolineError puts the kernel's answer to attaching at a function into
// words.
func trampolineError(p *placement, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.E2BIG):
		err = fmt.Errorf("too many programs are attached to %q already: %w", p.link.Target, err)
		return &KernelError{Op: "attaching " + p.String(), Err: err}
	}
	return attachError(p, "BPF trampolines for this architecture (x86-64 has them since Linux 5.5, arm64 since 6.0)", "", err)
}

// fixedTargetError explains why a program could not be loaded for its target,
// nil when the target was not the reason.
func fixedTargetError(name string, spec *ebpf.ProgramSpec, err error) error {
	kind := fixedKind(spec)
	// These words are the loader's only sign that it was looking for the target.
	if kind == "" || !strings.Contains(err.Error(), fmt.Sprintf("attach %s/%s: ", spec.Type, spec.AttachType)) {
		return nil
	}
	switch {
	case errors.Is(err, btf.ErrMultipleMatches):
		return fmt.Errorf("loading program %q: %w: this kernel (%s) has several functions %q, and which one %s would get is not certain: %w",
			name, ErrNoTarget, kernelRelease(), spec.AttachTo, kind, err)
	case errors.Is(err, btf.ErrNotFound), errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("loading program %q: %w: the types of this kernel (%s) do not have %q as a target of %s; it may be inlined, renamed or built without",
			name, ErrNoTarget, kernelRelease(), spec.AttachTo, kind)
	}
	return nil
}

// fixedKind names the hook of a program that is loaded for one target, "" for
// others.
func fixedKind(spec *ebpf.ProgramSpec) string {
	switch spec.AttachType {
	case ebpf.AttachTraceRawTp:
		return "tp_btf"
	case ebpf.AttachTraceFEntry:
		return "fentry"
	case ebpf.AttachTraceFExit:
		return "fexit"
	case ebpf.AttachModifyReturn:
		return "fmod_ret"
	case ebpf.AttachLSMMac:
		return "lsm"
	case ebpf.AttachTraceIter:
		return "iter"
	}
	return ""
}
