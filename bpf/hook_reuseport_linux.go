// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// reuseportHook attaches to a group of sockets that share an address
// (SO_REUSEPORT), of which the program chooses one for each packet or
// connection. The target is one socket of the group in the process that has it,
// "pid:1234/fd:5", reached by pidfd_getfd(2) (Linux 5.6).
//
// The group holds the program, and gives no other handle on it than a socket. So
// it takes a foreground run, which detaches at its end. It does not keep the
// socket open: that would keep the address taken, and connections waiting, after
// its process has ended.
type reuseportHook struct{}

func (reuseportHook) programType() ebpf.ProgramType { return ebpf.SkReuseport }

// capability is what loading needs; sockets of other users' processes take
// CAP_SYS_PTRACE, which is asked for where it is refused.
func (reuseportHook) capability() capability { return unix.CAP_BPF }
func (reuseportHook) networked() bool        { return false }
func (reuseportHook) target() (what, example string) {
	return "a socket of a process", "pid:NUMBER/fd:NUMBER"
}

// prepare looks at the socket, without keeping it.
func (reuseportHook) prepare(_ context.Context, _ *host, p *placement) error {
	s, err := openProcessSocket(p)
	if err != nil {
		return err
	}
	err = s.use(func(fd int) error { return checkReuseport(p, fd) })
	if err = joined.Errors(err, s.release()); err != nil {
		return err
	}
	p.link.Via = viaProcess
	if p.spec.AttachType == ebpf.AttachNone {
		p.spec.AttachType = ebpf.AttachSkReuseportSelect
	}
	return haveAttachType(ebpf.SkReuseport, p.spec.AttachType)
}

// checkReuseport refuses what is no socket with SO_REUSEPORT set, or not of TCP
// or UDP (sk_reuseport_attach_prog, net/core/filter.c).
func checkReuseport(p *placement, fd int) error {
	shared, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
	if errors.Is(err, unix.ENOTSOCK) {
		return p.usage("that is not a socket")
	}
	if err != nil {
		return fmt.Errorf("%s: looking at the socket: %w", p, err)
	}
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil {
		return fmt.Errorf("%s: looking at the socket: %w", p, err)
	}
	if protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_UDP {
		return p.usage("that is a socket of neither TCP nor UDP")
	}
	if shared == 0 {
		return p.usage("that socket does not share its address: its process must set SO_REUSEPORT before it binds it")
	}
	return nil
}

func (reuseportHook) attach(_ context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	s, err := openProcessSocket(p)
	if err != nil {
		return nil, err
	}
	s.log = h.log
	err = s.use(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, prog.FD())
	})
	if err == nil {
		return s, nil
	}
	err = joined.Errors(err, s.release())
	if errors.Is(err, unix.EINVAL) {
		return nil, &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf("SO_REUSEPORT was set after the socket was bound: %w", err)}
	}
	return nil, attachError(p, "programs on groups of sockets", "", err)
}

// parseProcessSocket reads "pid:NUMBER/fd:NUMBER".
func parseProcessSocket(target string) (pid, fd int, err error) {
	left, right, _ := strings.Cut(target, "/")
	p, okPID := strings.CutPrefix(left, "pid:")
	f, okFD := strings.CutPrefix(right, "fd:")
	process, errPID := strconv.ParseUint(p, 10, 31)
	number, errFD := strconv.ParseUint(f, 10, 31)
	if !okPID || !okFD || errPID != nil || errFD != nil || process == 0 {
		return 0, 0, fmt.Errorf("%q is not pid:NUMBER/fd:NUMBER, such as pid:1234/fd:5", target)
	}
	return int(process), int(number), nil
}
