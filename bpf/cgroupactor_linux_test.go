// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// actorEnv in the environment makes the test binary the process of an actor.
const actorEnv = "BPFIMG_TEST_ACTOR"

// TestActor is not a test but the process that [actor] starts: it does what it is
// told line by line, by plain system calls, so that what it does can be counted.
func TestActor(t *testing.T) {
	if os.Getenv(actorEnv) == "" {
		t.Skip("SKIP-REASON: runs as the child process of other tests only")
	}
	acts := actions()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer := "done"
		if err := acts[lines.Text()](); err != nil {
			answer = fmt.Sprintf("%s: %v", lines.Text(), err)
		}
		fmt.Println(answer)
	}
	os.Exit(0) // without the words of a test that passed
}

// actor is a process in a cgroup, and in the network namespace of the test.
type actor struct {
	t     *testing.T
	in    io.Writer
	lines *bufio.Scanner
}

func newActor(t *testing.T, cgroup string) *actor {
	t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	// It ends when its standard input does, after the test's context.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/proc/self/exe", "-test.run=^TestActor$")
	cmd.Env = append(os.Environ(), actorEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := joined.Errors(errIn, errOut, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := joined.Errors(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	return &actor{t: t, in: in, lines: bufio.NewScanner(out)}
}

// do has the actor do something, and waits until it is done.
func (a *actor) do(action string) {
	a.t.Helper()
	if _, err := fmt.Fprintln(a.in, action); err != nil {
		a.t.Fatal(err)
	}
	for a.lines.Scan() {
		if line := a.lines.Text(); line == "done" {
			return
		} else if strings.HasPrefix(line, action) {
			a.t.Fatal(line)
		}
	}
	a.t.Fatalf("%s: the actor has ended: %v", action, a.lines.Err())
}

// actions are what an actor can do, by name.
func actions() map[string]func() error {
	v4 := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	v6 := &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	return map[string]func() error{
		"nothing": func() error { return nil },
		"udp4":    func() error { return datagram(unix.AF_INET, v4) },
		"udp6":    func() error { return datagram(unix.AF_INET6, v6) },
		"unix": func() error {
			return datagram(unix.AF_UNIX, &unix.SockaddrUnix{Name: fmt.Sprintf("@bpfimg-%d", os.Getpid())})
		},
		"tcp":        func() error { return connectTCP(v4) },
		"getsockopt": func() error { return options(false) },
		"setsockopt": func() error { return options(true) },
		"sysctl":     func() error { return readOnce("/proc/sys/kernel/ostype") },
		"device":     func() error { return readOnce("/dev/null") },
	}
}

// datagram does to two datagram sockets of a family, once each: create, bind,
// ask for the name, send, receive, connect, ask for the peer's name, close.
func datagram(family int, at unix.Sockaddr) error {
	server, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	client, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return joined.Errors(err, unix.Close(server))
	}
	steps := []func() error{
		func() error { return unix.Bind(server, at) },
		func() (err error) { at, err = unix.Getsockname(server); return err },
		func() error { return unix.Sendto(client, []byte("x"), 0, at) },
		func() error { _, _, err := unix.Recvfrom(server, make([]byte, 8), 0); return err },
		func() error { return unix.Connect(client, at) },
		func() error { _, err := unix.Getpeername(client); return err },
		func() error { return unix.Close(client) },
		func() error { return unix.Close(server) },
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// connectTCP connects to a socket of its own.
func connectTCP(at unix.Sockaddr) error {
	server, errServer := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	client, errClient := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err := joined.Errors(errServer, errClient, unix.Bind(server, at), unix.Listen(server, 1)); err != nil {
		return err
	}
	at, err := unix.Getsockname(server)
	if err != nil {
		return err
	}
	return joined.Errors(unix.Connect(client, at), unix.Close(client), unix.Close(server))
}

// options gets or sets an option of a UNIX socket, which no other program sees.
func options(set bool) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if set {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
	} else {
		_, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	}
	return joined.Errors(err, unix.Close(fd))
}

// readOnce opens a file and reads from it with one system call.
func readOnce(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 64))
	return joined.Errors(err, unix.Close(fd))
}
