// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// talk does everything that a program on a cgroup can see: it has sockets of
// every family and kind talk to each other over loopback, asks about them, reads
// a sysctl and opens a device.
func talk() error {
	var errs []error
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
		errs = append(errs,
			converse(unix.AF_INET, kind, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}),
			converse(unix.AF_INET6, kind, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}))
	}
	_, err := os.ReadFile("/proc/sys/kernel/ostype")
	device, openErr := os.Open("/dev/null")
	errs = append(errs, err, openErr)
	if openErr == nil {
		errs = append(errs, device.Close())
	}
	return errors.Join(errs...)
}

// converse makes two sockets, sends through them, and asks for their options and
// addresses.
func converse(family, kind int, loopback unix.Sockaddr) error {
	server, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	defer unix.Close(server)
	client, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	defer unix.Close(client)
	if err := unix.SetsockoptInt(server, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("setting an option: %w", err)
	}
	if _, err := unix.GetsockoptInt(server, unix.SOL_SOCKET, unix.SO_REUSEADDR); err != nil {
		return fmt.Errorf("asking for an option: %w", err)
	}
	if err := unix.Bind(server, loopback); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	at, err := unix.Getsockname(server)
	if err != nil {
		return fmt.Errorf("asking for the address: %w", err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(server, 1); err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		return unix.Connect(client, at)
	}
	return exchange(server, client, at)
}

// exchange sends a packet and connects a socket that could do without.
func exchange(server, client int, at unix.Sockaddr) error {
	if err := unix.Sendto(client, []byte("x"), 0, at); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if _, _, err := unix.Recvfrom(server, make([]byte, 8), 0); err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	if err := unix.Connect(client, at); err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	if _, err := unix.Getpeername(client); err != nil {
		return fmt.Errorf("asking for the other address: %w", err)
	}
	return nil
}
