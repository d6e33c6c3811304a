// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// otherRows are those of the hooks of no family, and of the tracing hooks that are
// not about one place in the kernel.
func otherRows() []row {
	return []row{
		{
			hook: "perf_event", variant: "cpu-clock", object: "perfevent", attach: []string{"count_event=perf_event:cpu-clock,frequency=999"},
			event: keepBusy, counter: "hits",
		},
		{
			hook: "perf_event", variant: "page-faults", object: "perfevent", attach: []string{"count_event=perf_event:page-faults"},
			event: faultPages, counter: "hits", atLeast: pages,
		},
		{
			hook: "perf_event", variant: "page-faults, pid=", object: "perfevent", attach: []string{"count_event=perf_event:page-faults,pid=$PID"},
			setup: ownPID, event: faultPages, counter: "hits", atLeast: pages,
		},
		{
			hook: "iter", variant: "task", object: "iter", attach: []string{"list_numbers=none"},
			event: readTasks, counter: "hits",
		},
		{
			hook: "iter", variant: "task, pid=", object: "iter", shipped: true, attach: []string{"list_tasks=iter:task,pid=$PID", "list_numbers=none"},
			setup: ownPID, event: readOwnTasks, counter: "hits",
		},
		{
			hook: "iter", variant: "bpf_map_elem, map=", object: "iter", attach: []string{"list_numbers=iter:bpf_map_elem,map=numbers", "list_tasks=none"},
			event: readNumbers, counter: "hits", atLeast: 3,
		},
		{hook: "freplace", object: "freplace", attach: []string{"decide_instead=freplace:decide,program=id:$SLOT"}, setup: loadSlot, event: callSlot, counter: "hits", atLeast: slotCalls, seen: unloadSlot},
		{hook: "struct_ops", object: "structops", event: chooseCongestion, counter: "hits", atLeast: 2, seen: congestionListed},
		{hook: "syscall", object: "syscall", attach: []string{"refuse=none", "read_args=none"}, once: true, counter: "hits"},
		{
			hook: "syscall", variant: "ctx-size=", object: "syscall", attach: []string{"read_args=syscall,ctx-size=8", "succeed=none", "refuse=none"},
			once: true, counter: "hits",
		},
	}
}

// ownPID sets $PID to this process.
func ownPID(e *env) error {
	e.set("PID", fmt.Sprint(os.Getpid()))
	return nil
}

// keepBusy uses processor time until the row's counter moves, or it is a lot.
func keepBusy(e *env) error {
	x := uint64(1)
	for range 2000 {
		for range 1 << 16 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		if n, err := e.count("hits"); n > 0 || err != nil {
			return err
		}
	}
	return fmt.Errorf("the clock did not tick (%d)", x)
}

// pages is how many faultPages touches.
const pages = 5

// faultPages touches memory for the first time.
func faultPages(*env) error {
	size := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	// A kernel built without huge pages does not know this, and needs it not.
	_ = unix.Madvise(memory, unix.MADV_NOHUGEPAGE)
	for i := range pages {
		memory[i*size] = 1
	}
	return unix.Munmap(memory)
}

// readIterator reads the file of the row's one iterator.
func readIterator(e *env) ([]string, error) {
	data, err := os.ReadFile(e.instance.Links[0].Pin)
	return strings.Split(strings.TrimSpace(string(data)), "\n"), err
}

// readTasks looks for this process in a list of all.
func readTasks(e *env) error {
	lines, err := readIterator(e)
	if self := fmt.Sprintf("%d %[1]d", os.Getpid()); err == nil && !slices.Contains(lines, self) {
		err = fmt.Errorf("%q is not among the tasks %q", self, lines)
	}
	return err
}

// readOwnTasks looks for this process and no other.
func readOwnTasks(e *env) error {
	if err := readTasks(e); err != nil {
		return err
	}
	lines, err := readIterator(e)
	for _, line := range lines {
		if !strings.HasPrefix(line, e.vars["PID"]+" ") {
			err = fmt.Errorf("%q is another process", line)
		}
	}
	return err
}

// readNumbers looks for the keys of an array.
func readNumbers(e *env) error {
	lines, err := readIterator(e)
	if err == nil && !slices.Equal(lines, []string{"0", "1", "2"}) {
		err = fmt.Errorf("the keys are %q", lines)
	}
	return err
}

// congestion is what object structops registers.
const congestion = "bpfimg"

// chooseCongestion has a socket use it, which sends.
func chooseCongestion(*env) error {
	server, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(server)
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(client)
	if err := unix.SetsockoptString(client, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion); err != nil {
		return fmt.Errorf("choosing the congestion control: %w", err)
	}
	if err := unix.Bind(server, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.Listen(server, 1); err != nil {
		return err
	}
	at, err := unix.Getsockname(server)
	if err != nil {
		return err
	}
	if err := unix.Connect(client, at); err != nil {
		return err
	}
	peer, _, err := unix.Accept(server)
	if err != nil {
		return err
	}
	defer unix.Close(peer)
	// The answer comes behind the acknowledgement of what it answers.
	for _, pair := range [][2]int{{client, peer}, {peer, client}} {
		if _, err := unix.Write(pair[0], []byte("x")); err != nil {
			return err
		}
		if _, err := unix.Read(pair[1], make([]byte, 1)); err != nil {
			return err
		}
	}
	return nil
}

// congestionListed looks for it among those the kernel has.
func congestionListed(*env) error {
	list, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	if err == nil && !slices.Contains(strings.Fields(string(list)), congestion) {
		err = fmt.Errorf("it is not listed: %s", list)
	}
	return err
}
