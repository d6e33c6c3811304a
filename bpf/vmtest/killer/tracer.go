// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux && amd64

package main

import (
	"fmt"
	"os/exec"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer follows the threads of a program to the system calls that [filter] lets it
// see. It belongs to the thread that started the program, as ptrace(2) wants it.
type tracer struct {
	leader int
	known  map[int]bool // threads that were seen
	held   int          // the one that waits for next, 0 for none
}

// start starts the program, stopped. It dies with us.
func start(cmd *exec.Cmd) (*tracer, error) {
	if err := installFilter(); err != nil { // the program inherits it
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	t := &tracer{leader: cmd.Process.Pid, held: cmd.Process.Pid}
	t.known = map[int]bool{t.leader: true}
	if _, err := unix.Wait4(t.leader, nil, unix.WALL, nil); err != nil {
		return nil, fmt.Errorf("waiting for the program to start: %w", err)
	}
	const options = unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(t.leader, options); err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	return t, nil
}

// next goes on to where any thread is about to make one of the calls. The error is
// [errEnded] when the program has succeeded instead.
func (t *tracer) next() (call, error) {
	signal := 0
	for {
		// ESRCH: it was ended meanwhile.
		if err := unix.PtraceCont(t.held, signal); err != nil && err != unix.ESRCH {
			return call{}, fmt.Errorf("going on: %w", err)
		}
		status, err := t.wait()
		if err != nil {
			return call{}, err
		}
		switch signal = 0; {
		case status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
			return callOf(t.held)
		case status.StopSignal() == unix.SIGTRAP: // another event, such as a new thread
		case !t.known[t.held]: // the stop of a new thread
			t.known[t.held] = true
		default:
			signal = int(status.StopSignal())
		}
	}
}

// wait waits until a thread stops, which is held then, or the program has ended.
func (t *tracer) wait() (unix.WaitStatus, error) {
	for {
		var status unix.WaitStatus
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return status, fmt.Errorf("waiting for the program: %w", err)
		case status.Stopped():
			t.held = thread
			return status, nil
		case thread == t.leader && status.Exited() && status.ExitStatus() == 0:
			return status, errEnded
		case thread == t.leader:
			return status, fmt.Errorf("the program ended by itself: status %d, signal %v", status.ExitStatus(), status.Signal())
		}
	}
}

// kill kills the program, whose call that waits is not made any more, and returns
// when it is gone.
func (t *tracer) kill() error {
	if err := unix.Kill(t.leader, unix.SIGKILL); err != nil {
		return fmt.Errorf("killing the program: %w", err)
	}
	for {
		var status unix.WaitStatus
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("waiting for the program: %w", err)
		}
		if thread == t.leader && status.Signaled() {
			return nil
		}
	}
}

// syscallInfo is struct ptrace_syscall_info (linux/ptrace.h) of a thread that a
// filter has stopped.
type syscallInfo struct {
	_      [24]byte // how it stopped, architecture, instruction and stack pointer
	number uint64
	args   [6]uint64
	_      uint64
}

// callOf is the system call at which a thread has stopped.
func callOf(thread int) (call, error) {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return call{}, fmt.Errorf("asking for a system call: %w", errno)
	}
	return call{thread: thread, number: info.number, args: info.args}, nil
}
