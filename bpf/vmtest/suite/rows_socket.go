// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func socketRows() []row {
	const none = "=none"
	return []row{
		{
			hook: "socket", object: "socket", foreground: true,
			attach: []string{"on_packet=socket:$DEV"}, event: sendToDev, counter: "packets", atLeast: packets,
		},
		{
			hook: "socket", variant: "netns=, promisc", object: "socket", foreground: true, setup: peerElsewhere,
			attach: []string{"on_packet=socket:$PEER,netns=$NETNS,promisc=on"}, event: sendFromDev, counter: "packets", atLeast: packets,
		},
		{
			hook: "sk_reuseport", object: "reuseport", foreground: true, shipped: true, setup: shareAddress,
			attach: []string{"choose=sk_reuseport:pid:$PID/fd:$SOCKET"}, event: sendToShared, counter: "choices", atLeast: packets,
		},
		{
			hook: "sk_lookup", object: "sk_lookup",
			attach: []string{"steer=sk_lookup"}, event: connectToNobody, counter: "lookups",
		},
		{
			hook: "sk_skb", variant: "stream_parser and stream_verdict", object: "sockmap",
			attach: []string{"parse=sk_skb:socks", "echo=sk_skb:socks", "echo_all" + none, "on_send" + none},
			event:  echo, counter: "counts", atLeast: 2,
		},
		{
			hook: "sk_skb", variant: "verdict", object: "sockmap",
			attach: []string{"parse" + none, "echo" + none, "echo_all=sk_skb:socks,event=verdict", "on_send" + none},
			event:  echo, counter: "counts",
		},
		{
			hook: "sk_msg", object: "sockmap",
			attach: []string{"parse" + none, "echo" + none, "echo_all" + none, "on_send=sk_msg:socks"},
			event:  sendFromMap, counter: "counts",
		},
	}
}

// tcpPort is where sk_lookup.bpf.c steers connections from.
const tcpPort = 7007

func loopback(port int) *unix.SockaddrInet4 {
	return &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}
}

// socket makes an IPv4 socket that goes at the end of the row and waits 10 s at
// most.
func (e *env) socket(kind int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("making a socket: %w", err)
	}
	e.cleanup(func() error { return unix.Close(fd) })
	return fd, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
}

// listen makes a listening TCP socket and gives its address.
func (e *env) listen() (int, unix.Sockaddr, error) {
	fd, err := e.socket(unix.SOCK_STREAM)
	if err != nil {
		return 0, nil, err
	}
	if err := errors.Join(unix.Bind(fd, loopback(0)), unix.Listen(fd, 1)); err != nil {
		return 0, nil, fmt.Errorf("listening: %w", err)
	}
	at, err := unix.Getsockname(fd)
	return fd, at, err
}

// connect makes both ends of a TCP connection.
func (e *env) connect() (client, server int, err error) {
	listener, at, err := e.listen()
	if err != nil {
		return 0, 0, err
	}
	if client, err = e.socket(unix.SOCK_STREAM); err != nil {
		return 0, 0, err
	}
	if err := unix.Connect(client, at); err != nil {
		return 0, 0, fmt.Errorf("connecting: %w", err)
	}
	server, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, 0, fmt.Errorf("accepting: %w", err)
	}
	e.cleanup(func() error { return unix.Close(server) })
	return client, server, unix.SetsockoptTimeval(server, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
}

// put puts a socket into a map of the instance, as a companion process would.
func (e *env) put(name string, fd int) error {
	m, err := e.openMap(name)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.Update(uint32(0), uint64(fd), ebpf.UpdateAny); err != nil {
		return fmt.Errorf("putting a socket into map %s: %w", name, err)
	}
	return nil
}

// pass sends a word from one end of a connection and wants it at another.
func pass(from, to int) error {
	const word = "hello"
	if _, err := unix.Write(from, []byte(word)); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	buffer := make([]byte, 2*len(word))
	n, err := unix.Read(to, buffer)
	if err != nil || string(buffer[:n]) != word {
		return fmt.Errorf("received %q instead of %q: %w", buffer[:max(n, 0)], word, err)
	}
	return nil
}

// echo gets back what it sends to a socket that nobody reads.
func echo(e *env) error {
	client, server, err := e.connect()
	if err != nil {
		return err
	}
	return errors.Join(e.put("socks", server), pass(client, client))
}

// sendFromMap sends through a socket of the map.
func sendFromMap(e *env) error {
	client, server, err := e.connect()
	if err != nil {
		return err
	}
	return errors.Join(e.put("socks", server), pass(server, client))
}

// connectToNobody connects to a port on which nobody listens.
func connectToNobody(e *env) error {
	listener, _, err := e.listen()
	if err != nil {
		return err
	}
	client, err := e.socket(unix.SOCK_STREAM)
	if err != nil {
		return err
	}
	return errors.Join(e.put("listener", listener), unix.Connect(client, loopback(tcpPort)))
}

// sharedPort is that of two sockets of the suite.
const sharedPort = 7008

// shareAddress makes them; $PID and $SOCKET are one of them.
func shareAddress(e *env) error {
	for range 2 {
		fd, err := e.socket(unix.SOCK_DGRAM)
		if err != nil {
			return err
		}
		err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), unix.Bind(fd, loopback(sharedPort)))
		if err != nil {
			return fmt.Errorf("sharing an address: %w", err)
		}
		e.set("PID", fmt.Sprint(os.Getpid()))
		e.set("SOCKET", fmt.Sprint(fd))
	}
	return nil
}

func sendToShared(e *env) error {
	fd, err := e.socket(unix.SOCK_DGRAM)
	for range packets {
		if err == nil {
			err = unix.Sendto(fd, []byte("x"), 0, loopback(sharedPort))
		}
	}
	return err
}
