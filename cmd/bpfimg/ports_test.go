// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"net/netip"
	"syscall"
	"testing"
)

// holdPort has a socket that does not listen hold a loopback port, any for 0, until
// release: connections are refused, the kernel gives the port to nobody who asks for
// any, and lets a listener have it that asks for this one and allows reuse, as those
// of Go do (SO_REUSEADDR, socket(7)).
func holdPort(port uint16) (address string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", nil, err
	}
	release = func() { _ = syscall.Close(fd) }
	defer func() {
		if err != nil {
			release()
		}
	}()
	syscall.CloseOnExec(fd)
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return "", nil, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port)}); err != nil {
		return "", nil, err
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		return "", nil, err
	}
	bound := at.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port)).String(), release, nil
}

// freeAddress is a loopback address for a program that is about to start.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, release, err := holdPort(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return address
}
