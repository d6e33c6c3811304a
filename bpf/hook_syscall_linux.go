// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// syscallHook runs a program once and attaches it to nothing; what it leaves is in
// its maps. Option ctx-size: bytes, all 0, that the program gets as its context.
type syscallHook struct{}

// optionContext is the option of hook syscall, and maxContext what the kernel
// takes (bpf_prog_test_run_syscall of net/bpf/test_run.c).
const (
	optionContext = "ctx-size"
	maxContext    = 65535
)

func (syscallHook) programType() ebpf.ProgramType  { return ebpf.Syscall }
func (syscallHook) capability() capability         { return unix.CAP_BPF }
func (syscallHook) networked() bool                { return false }
func (syscallHook) target() (what, example string) { return "", "" }

func (syscallHook) prepare(_ context.Context, _ *host, p *placement) error {
	if p.link.Target != "" {
		return p.usage("it takes no target: the program runs once and is attached to nothing")
	}
	if _, err := contextSize(p); err != nil {
		return err
	}
	p.link.Via = viaOnce
	return nil
}

// contextSize is option ctx-size, 0 when it is not given.
func contextSize(p *placement) (int, error) {
	value := p.option(optionContext)
	if value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > maxContext {
		return 0, p.usage("option %s is %q; it is a number of bytes from 1 to %d", optionContext, value, maxContext)
	}
	return n, nil
}

// attach runs the program. By custom it returns 0 when all is well.
func (syscallHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	size, err := contextSize(p)
	if err != nil {
		return nil, err
	}
	opts := &ebpf.RunOptions{}
	if size > 0 {
		opts.Context = make([]byte, size)
	}
	op := fmt.Sprintf("running program %q", p.link.Program)
	result, err := prog.Run(opts)
	if errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("it may read a context, which option %s gives it: %w", optionContext, err)
	}
	if err != nil {
		return nil, &KernelError{Op: op, Err: err}
	}
	if result != 0 {
		return nil, fmt.Errorf("%s: it returned %d, and 0 means success", op, int32(result))
	}
	return nil, nil
}
