// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// socketHook attaches to a packet socket (packet(7)) bound to a network
// interface, so that the program sees every packet the interface sends and
// receives. The socket is all that holds it, so it takes a foreground run.
//
// Nobody reads the packets the program lets through: the socket's receive buffer
// is made as small as the kernel lets it be. Filters run before the kernel looks
// for room in it (packet_rcv, net/packet/af_packet.c), so a full buffer costs a
// few kilobytes and hides no packet from the program.
//
// Option promisc: "on" puts the interface into promiscuous mode for as long.
type socketHook struct{}

func (socketHook) programType() ebpf.ProgramType { return ebpf.SocketFilter }
func (socketHook) capability() capability        { return unix.CAP_NET_RAW }
func (socketHook) networked() bool               { return true }

func (socketHook) prepare(_ context.Context, h *host, p *placement) error {
	p.link.Via = viaProcess
	_, err := h.iface(p)
	return err
}

// attach binds the socket last: until then it belongs to no protocol and gets no
// packet, so that none passes without the program.
func (socketHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, fmt.Errorf("attaching %s: %w", p, unsupported("packet sockets (CONFIG_PACKET)", ""))
	}
	if err != nil {
		return nil, attachError(p, "packet sockets", "", fmt.Errorf("opening a packet socket: %w", err))
	}
	if err := filterPackets(fd, p, prog); err != nil {
		return nil, joined.Errors(attachError(p, "filters of packet sockets", "", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "packet socket on "+p.link.Target), nil
}

// filterPackets makes the packet socket one that feeds prog.
func filterPackets(fd int, p *placement, prog *ebpf.Program) error {
	// The kernel raises this to its least, SOCK_MIN_RCVBUF.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0); err != nil {
		return fmt.Errorf("making the receive buffer small: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, prog.FD()); err != nil {
		return fmt.Errorf("setting the filter: %w", err)
	}
	if p.option("promisc") == "on" {
		mode := &unix.PacketMreq{Ifindex: int32(p.link.Ifindex), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, mode); err != nil {
			return fmt.Errorf("putting the interface into promiscuous mode: %w", err)
		}
	}
	var all [2]byte
	binary.BigEndian.PutUint16(all[:], unix.ETH_P_ALL)
	to := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(all[:]), Ifindex: int(p.link.Ifindex)}
	if err := unix.Bind(fd, to); err != nil {
		return fmt.Errorf("binding the packet socket: %w", err)
	}
	return nil
}

// remove has nothing to do: the socket goes with its process.
func (socketHook) remove(context.Context, *removal, schemas.InstanceLink, schemas.InstanceProgram) error {
	return nil
}

// gone looks for the interface, without which the socket gets nothing.
func (socketHook) gone(l schemas.InstanceLink, _ schemas.InstanceProgram) string {
	if _, err := netlink.LinkByIndex(int(l.Ifindex)); errors.As(err, &netlink.LinkNotFoundError{}) {
		return fmt.Sprintf("program %q sees nothing any more: interface %q is gone", l.Program, l.Target)
	}
	return ""
}
