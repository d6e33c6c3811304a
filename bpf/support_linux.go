// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

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
			s.Err = probeHook(h, info)
		}
		list = append(list, s)
	}
	return list, nil
}

// supported asks the kernel for everything p will need, before anything is
// loaded. The probes remember their answers for the life of the process.
func (p *plan) supported(foreground bool) error {
	for _, o := range p.objects {
		if err := o.mapsSupported(); err != nil {
			return err
		}
	}
	asked, perfLinks := map[string]bool{}, sync.OnceValue(havePerfLinks)
	for _, pl := range p.placements {
		if asked[pl.link.Hook] {
			continue
		}
		asked[pl.link.Hook] = true
		if err := probeHook(pl.hook, pl.info); err != nil {
			return fmt.Errorf("%s: %w", pl, err)
		}
		if _, perf := pl.hook.(perfHolder); perf && !foreground && !perfLinks() {
			return fmt.Errorf("%s: %w; --foreground attaches it for as long as bpfimg runs", pl,
				unsupported("keeping a probe, tracepoint or perf event attached without its process", "5.15"))
		}
	}
	return nil
}

// mapsSupported asks for the map types that are newer than this kernel, which may
// have them all the same. Helpers are not asked for: a program may call one the
// kernel lacks in code it never reaches there.
func (o *object) mapsSupported() error {
	for _, d := range o.desc.Maps {
		spec := o.spec.Maps[d.Name]
		since := inspect.MapTypeSince(d.Type)
		if spec == nil || since == "" || kernelSince(since) {
			continue
		}
		if errors.Is(features.HaveMapType(spec.Type), ebpf.ErrNotSupported) {
			return fmt.Errorf("map %q: %w", d.Name, unsupported("maps of type "+d.Type, since))
		}
	}
	return nil
}

// havePerfLinks asks for links of perf events: Linux 5.15 (commit b89fbfbb854c).
func havePerfLinks() bool { return haveLinks(ebpf.TracePoint, ebpf.AttachPerfEvent) }

// haveLinks asks for a link between a program and nothing: a kernel that has such
// links finds the target missing, one that has not the request wrong. It takes a
// program, because Linux 5.10 looks at that first.
func haveLinks(program ebpf.ProgramType, at ebpf.AttachType) bool {
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: program, AttachType: at}, 0)
	if err != nil {
		return false
	}
	defer prog.Close()
	type linkCreate struct{ prog, target, attachType, _ uint32 }
	_, err = createLink(prog, &linkCreate{prog: uint32(prog.FD()), target: ^uint32(0), attachType: uint32(at)})
	return errors.Is(err, unix.EBADF)
}

func probeHook(h hook, info inspect.HookInfo) error {
	var err error
	if p, ok := h.(prober); ok {
		err = p.probe()
	} else {
		err = features.HaveProgramType(h.programType())
	}
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return unsupported(fmt.Sprintf("hook %s", info.Name), info.Since)
	case errors.Is(err, unix.EPERM):
		return &KernelError{Op: "asking the kernel what it supports", Err: fmt.Errorf(
			"%s programs are not permitted here, on Linux %s, although the capability is held (built without, locked down, or a user namespace): %w",
			info.Name, kernelRelease(), unix.EPERM)}
	}
	return err
}

// probe loads a program for a function the kernel has for such tests
// (net/bpf/test_run.c), or a tracepoint every kernel has, because some kernels
// take one kind of tracing program and refuse another. The test function for
// fmod_ret takes programs only where error injection is built in
// (CONFIG_FUNCTION_ERROR_INJECTION), a decision of the security modules always.
func (t tracingHook) probe() error {
	if _, err := os.Stat(kernelTypes); errors.Is(err, fs.ErrNotExist) {
		return unsupported("its types (CONFIG_DEBUG_INFO_BTF)", "")
	}
	target := "bpf_fentry_test1"
	switch t.at {
	case ebpf.AttachTraceRawTp:
		target = "sched_process_exec"
	case ebpf.AttachModifyReturn:
		target = "security_file_open"
	}
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: t.at, AttachTo: target}, 0)
	if errors.Is(err, btf.ErrNotFound) {
		return nil // built without the test function: only loading a real one tells
	}
	if err != nil {
		return err
	}
	return prog.Close()
}
