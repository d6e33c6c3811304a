// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/sys/unix"
)

// processSocket is a socket of another process, without a share in it: it is
// borrowed for as long as it is used.
type processSocket struct {
	// pidfd is of the process, which makes sure it is not another of that number.
	pidfd, fd int
	// inode tells the socket from another the process has under that number.
	inode uint64
	name  string
	log   *slog.Logger
}

// openProcessSocket opens the socket a placement's target names.
func openProcessSocket(p *placement) (*processSocket, error) {
	pid, fd, err := parseProcessSocket(p.link.Target)
	if err != nil {
		return nil, p.usage("%v", err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL):
		// EINVAL: the number is that of a thread.
		return nil, fmt.Errorf("%s: %w: there is no process %d", p, ErrNoTarget, pid)
	case errors.Is(err, unix.ENOSYS):
		return nil, fmt.Errorf("%s: %w", p, unsupported("reaching a socket of another process", "5.6"))
	case err != nil:
		return nil, fmt.Errorf("%s: opening process %d: %w", p, pid, err)
	}
	s := &processSocket{pidfd: pidfd, fd: fd, name: p.link.Target}
	borrowed, err := s.borrow()
	if err != nil {
		return nil, joined.Errors(socketError(p, pid, fd, err), s.release())
	}
	s.inode, err = inodeOf(borrowed)
	if err = joined.Errors(err, unix.Close(borrowed)); err != nil {
		return nil, joined.Errors(fmt.Errorf("%s: looking at the socket: %w", p, err), s.release())
	}
	return s, nil
}

func socketError(p *placement, pid, fd int, err error) error {
	switch {
	case errors.Is(err, unix.EBADF), errors.Is(err, unix.ESRCH):
		return fmt.Errorf("%s: %w: process %d has no open file of number %d", p, ErrNoTarget, pid, fd)
	case errors.Is(err, unix.EPERM):
		return &PermissionError{Op: fmt.Sprintf("%s: borrowing a socket of process %d", p, pid), Capability: "CAP_SYS_PTRACE", Err: err}
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%s: %w", p, unsupported("reaching a socket of another process", "5.6"))
	}
	return fmt.Errorf("%s: borrowing the socket: %w", p, err)
}

// borrow opens the process's file; the caller closes it.
func (s *processSocket) borrow() (int, error) { return unix.PidfdGetfd(s.pidfd, s.fd, 0) }

func inodeOf(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// errOtherSocket: the process has closed the socket.
var errOtherSocket = errors.New("the process has closed the socket")

// use calls f with the socket, if it is still the same.
func (s *processSocket) use(f func(fd int) error) error {
	fd, err := s.borrow()
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EBADF) {
		return errOtherSocket
	}
	if err != nil {
		return fmt.Errorf("borrowing the socket: %w", err)
	}
	inode, err := inodeOf(fd)
	switch {
	case err != nil:
	case inode != s.inode:
		err = errOtherSocket
	default:
		err = f(fd)
	}
	return joined.Errors(err, unix.Close(fd))
}

func (s *processSocket) release() error { return unix.Close(s.pidfd) }

// Close detaches the program from the group of the socket. When the socket is
// gone, the group may live on in others, and then keeps the program.
func (s *processSocket) Close() error {
	err := s.use(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0)
	})
	switch {
	case errors.Is(err, errOtherSocket):
		s.log.Warn("the socket is gone; if others share its address, they keep the program until the last of them is closed", "socket", s.name)
		err = nil
	case errors.Is(err, unix.ENOENT):
		err = nil // nothing there to detach
	case err != nil:
		err = fmt.Errorf("detaching from the sockets of %s: %w", s.name, err)
	}
	return joined.Errors(err, s.release())
}
