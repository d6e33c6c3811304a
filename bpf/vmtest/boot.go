// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// StatusPrefix begins the line with which a guest reports its exit status, a
// decimal number, before it powers off.
const StatusPrefix = "bpfimg-vmtest-status: "

// ServedPath is where the guest looks for the server that has the commands of the
// binary under test; it is called for every row of the hook suite where there is none.
const ServedPath = "/bin/bpfimg-served"

// Defaults of [Options].
const (
	// DefaultTimeout bounds one run. It is there to end a machine that hangs: a
	// run of all tests takes two minutes, or ten where much else shares the
	// processor.
	DefaultTimeout = 20 * time.Minute
	// DefaultMemory in MiB holds the RAM disk twice, as it is loaded and as it
	// is unpacked, and leaves most for the tests.
	DefaultMemory = 512
)

// Errors of [Boot]; test with [errors.Is].
var (
	// ErrNoQEMU: qemu-system-x86_64 is not installed.
	ErrNoQEMU = errors.New("qemu-system-x86_64 not found")
	// ErrNoStatus: the machine stopped, or was stopped by the timeout, before
	// the guest reported a status: it crashed or hung.
	ErrNoStatus = errors.New("the virtual machine ended without a status")
)

// Options of [Boot].
type Options struct {
	// Kernel to boot, with its modules; required.
	Kernel Kernel
	// Init is the path of the static linux/amd64 binary that becomes the first
	// process; required.
	Init string
	// Files by absolute path in the guest; optional.
	Files map[string]File
	// Args are given to Init; no element may hold spaces.
	Args []string
	// Memory of the machine in MiB; default [DefaultMemory].
	Memory int
	// Timeout of the whole run; default [DefaultTimeout].
	Timeout time.Duration
	// Log receives the console, line by line, while it is written; optional.
	Log io.Writer
}

// Result says how the guest ended.
type Result struct {
	// Status is the guest's exit status.
	Status int
	// Took is the time from start to power-off, Processor how long the emulator
	// computed, which other work on the host does not change.
	Took, Processor time.Duration
}

// Boot starts a virtual machine, waits until it is off and returns the status
// its guest reported. Nothing survives the call, on the host neither.
func Boot(ctx context.Context, opts Options) (result Result, err error) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return Result{}, fmt.Errorf("%w: install qemu-system-x86", ErrNoQEMU)
	}
	dir, err := os.MkdirTemp("", "bpfimg-vmtest-")
	if err != nil {
		return Result{}, fmt.Errorf("making a folder for the RAM disk: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ramdisk := filepath.Join(dir, "initramfs.cpio")
	if err := saveRamdisk(ramdisk, opts.ramdisk()); err != nil {
		return Result{}, err
	}

	timeout := opts.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	console := newConsole(opts.Log)
	cmd := exec.CommandContext(ctx, qemu, opts.qemuArgs(ramdisk)...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.WaitDelay = 10 * time.Second // to read what it printed last
	endWithUs(cmd)
	start := time.Now()
	runErr := cmd.Run()
	console.flush()
	result.Took = time.Since(start)
	if cmd.ProcessState != nil {
		result.Processor = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	status, ok := console.status()
	if !ok {
		return result, fmt.Errorf("%w after %s: %w; its last lines:\n%s", ErrNoStatus,
			result.Took.Round(time.Millisecond), errors.Join(ctx.Err(), runErr, console.err), console.tail())
	}
	result.Status = status
	return result, nil
}

func saveRamdisk(name string, files map[string]File) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("writing the RAM disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return writeRamdisk(f, files)
}

// qemuArgs is the one way of running that every kernel here survives. It
// emulates, because stock kernels do not boot on every nested KVM; one processor,
// because 5.10 and 6.1 lock up with two; no cmpxchg16b, because with it 6.12
// crashes in half the runs. The kernel's check that its timer ticks fails now and
// then where the processor is shared (6.1: "IO-APIC + timer doesn't work"), so it
// is left out.
func (o Options) qemuArgs(ramdisk string) []string {
	memory := o.Memory
	if memory == 0 {
		memory = DefaultMemory
	}
	kernelArgs := "console=ttyS0 panic=-1 quiet no_timer_check lsm=lockdown,bpf"
	if len(o.Args) > 0 {
		kernelArgs += " -- " + strings.Join(o.Args, " ")
	}
	return []string{
		"-accel", "tcg", "-cpu", "max,cx16=off", "-smp", "1", "-m", strconv.Itoa(memory),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", o.Kernel.Image, "-initrd", ramdisk, "-append", kernelArgs,
	}
}
