// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

const (
	objSocket    = "testdata/socket.bpf.o"
	objSockmap   = "testdata/sockmap.bpf.o"
	objLookup    = "testdata/sk_lookup.bpf.o"
	objReuseport = "testdata/reuseport.bpf.o"
)

// loopbackUp makes 127.0.0.1 and ::1 work in the test's network namespace.
func loopbackUp(t *testing.T) {
	t.Helper()
	if err := netlink.LinkSetUp(netlinkByName(t, "lo")); err != nil {
		t.Fatal(err)
	}
}

// inetSocket is an IPv4 socket that goes with the test and waits 5 s at most.
func inetSocket(t *testing.T, kind int) int {
	t.Helper()
	fd := must[int](t)(unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0))
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
}

// listen is a listening TCP socket on the loopback interface, and its address.
func listen(t *testing.T) (int, unix.Sockaddr) {
	t.Helper()
	fd := inetSocket(t, unix.SOCK_STREAM)
	if err := unix.Bind(fd, loopback(0)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 8); err != nil {
		t.Fatal(err)
	}
	return fd, must[unix.Sockaddr](t)(unix.Getsockname(fd))
}

// connection is both ends of a TCP connection.
func connection(t *testing.T) (client, server int) {
	t.Helper()
	listener, at := listen(t)
	client = inetSocket(t, unix.SOCK_STREAM)
	if err := unix.Connect(client, at); err != nil {
		t.Fatal(err)
	}
	server, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(server) })
	return client, server
}

// putSocket puts a socket into a map of the instance, as a companion process
// would: by the map's pin.
func putSocket(t *testing.T, rec schemas.Instance, name string, fd int) {
	t.Helper()
	for _, m := range rec.Maps {
		if m.Name != name {
			continue
		}
		socks, err := openMapOf(m)
		if err != nil {
			t.Fatal(err)
		}
		defer socks.Close()
		if err := socks.Update(uint32(0), uint64(fd), ebpf.UpdateAny); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("instance %q has no map %q", rec.Name, name)
}

// wantCounts compares the values of an array.
func (b *bench) wantCounts(instance, name string, want ...uint64) {
	b.t.Helper()
	d, text := b.dump(instance, name)
	for i, n := range want {
		if i >= len(d.Entries) || d.Entries[i].Value != json.Number(fmt.Sprint(n)) {
			b.t.Errorf("map %s is %s; want values %v", name, text, want)
			return
		}
	}
}

// awaitProblem waits until the kernel, which detaches in the background, has let
// go of a link's target: of a network namespace that can take long, since it takes
// down everything in it first.
func awaitProblem(t *testing.T, l schemas.InstanceLink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(awaitPoll)
	defer tick.Stop()
	for linkProblem(l) == "" && ctx.Err() == nil {
		<-tick.C
	}
}

// sharedSockets are two UDP sockets with one address.
func sharedSockets(t *testing.T) (socks [2]int, at unix.Sockaddr) {
	t.Helper()
	at = loopback(0)
	for i := range socks {
		socks[i] = inetSocket(t, unix.SOCK_DGRAM)
		if err := unix.SetsockoptInt(socks[i], unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(socks[i], at); err != nil {
			t.Fatal(err)
		}
		at = must[unix.Sockaddr](t)(unix.Getsockname(socks[i]))
	}
	return socks, at
}

func socketTarget(fd int) string { return fmt.Sprintf("pid:%d/fd:%d", unix.Getpid(), fd) }
