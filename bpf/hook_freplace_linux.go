// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// freplaceHook puts a program in the place of a global function of another one
// that is loaded already. The target is the function, option program the other.
type freplaceHook struct{}

// optionProgram is the option of hook freplace.
const optionProgram = "program"

func (freplaceHook) programType() ebpf.ProgramType { return ebpf.Extension }
func (freplaceHook) capability() capability        { return unix.CAP_PERFMON }
func (freplaceHook) networked() bool               { return false }
func (freplaceHook) target() (what, example string) {
	return "a function", "FUNCTION,program=INSTANCE/PROGRAM"
}

// prepare opens the program, and has ours loaded for its function: the verifier
// compares them. The placement keeps the program open until then.
func (freplaceHook) prepare(_ context.Context, h *host, p *placement) error {
	if p.option(optionProgram) == "" {
		return p.usage("needs the program the function is in: program=INSTANCE/PROGRAM, program=id:NUMBER or program=/PATH of its pin")
	}
	prog, err := openReplaced(h, p)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: there is no program %q: %w", p, ErrNoTarget, p.option(optionProgram), err)
	}
	if err != nil {
		return err
	}
	p.open = prog
	if err := checkReplaced(p, prog); err != nil {
		return err
	}
	p.fixTarget(ebpf.AttachNone)
	p.spec.AttachTarget = prog
	return nil
}

// openReplaced opens the program of option program.
func openReplaced(h *host, p *placement) (*ebpf.Program, error) {
	value := p.option(optionProgram)
	if number, ok := strings.CutPrefix(value, "id:"); ok {
		id, err := strconv.ParseUint(number, 10, 32)
		if err != nil {
			return nil, p.usage("option program is %q; after id: comes the number of a program", value)
		}
		return ebpf.NewProgramFromID(ebpf.ProgramID(id))
	}
	if filepath.IsAbs(value) {
		return ebpf.LoadPinnedProgram(value, nil)
	}
	instance, name, ok := strings.Cut(value, "/")
	if !ok {
		return nil, p.usage("option program is %q; it is INSTANCE/PROGRAM, id:NUMBER or the absolute path of a pin", value)
	}
	i := slices.IndexFunc(h.records, func(r schemas.Instance) bool { return r.Name == instance })
	if i < 0 {
		return nil, fmt.Errorf("%s: %w: there is no instance %q", p, ErrNoTarget, instance)
	}
	programs := h.records[i].Programs
	j := slices.IndexFunc(programs, func(q schemas.InstanceProgram) bool { return q.Name == name })
	if j < 0 {
		return nil, fmt.Errorf("%s: %w: instance %q has no program %q", p, ErrNoTarget, instance, name)
	}
	return openProgramOf(programs[j])
}

// checkReplaced looks the function up in what the kernel keeps of the program.
func checkReplaced(p *placement, prog *ebpf.Program) error {
	value := p.option(optionProgram)
	if prog.Type() == ebpf.Extension {
		return fmt.Errorf("%s: %w: program %q takes the place of a function itself, so that none of its own can be replaced; an XDP program that is to have one replaced is run with via=link",
			p, ErrNoTarget, value)
	}
	handle, err := prog.Handle()
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%s: %w: program %q was loaded without types (BTF), so its functions have no names", p, ErrNoTarget, value)
	}
	if err != nil {
		return fmt.Errorf("%s: reading the types of program %q: %w", p, value, err)
	}
	defer handle.Close()
	spec, err := handle.Spec(nil)
	if err != nil {
		return fmt.Errorf("%s: reading the types of program %q: %w", p, value, err)
	}
	var function *btf.Func
	err = spec.TypeByName(p.link.Target, &function)
	if errors.Is(err, btf.ErrNotFound) {
		return fmt.Errorf("%s: %w: program %q has no function %q", p, ErrNoTarget, value, p.link.Target)
	}
	if err != nil {
		return fmt.Errorf("%s: looking up the function: %w", p, err)
	}
	if function.Linkage != btf.GlobalFunc {
		return fmt.Errorf("%s: %w: function %q of program %q is static, and only global ones can be replaced", p, ErrNoTarget, p.link.Target, value)
	}
	return nil
}

func (freplaceHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	l, err := link.AttachFreplace(nil, "", prog)
	if errors.Is(err, unix.EBUSY) {
		err = fmt.Errorf("something is attached to function %q of program %q already: %w", p.link.Target, p.option(optionProgram), err)
		return nil, &KernelError{Op: "attaching " + p.String(), Err: err}
	}
	return l, trampolineError(p, err)
}
