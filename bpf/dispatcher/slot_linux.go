// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What netlink says and takes of XDP: linux/if_link.h.
const (
	attrXDPFD       = 1
	attrXDPAttached = 2
	attrXDPFlags    = 3
	attrXDPProgID   = 4
	attrXDPDriverID = 5
	attrXDPSkbID    = 6
	attrXDPDeviceID = 7
	attrXDPExpected = 8

	attachedDriver = 1
	attachedSkb    = 2
	attachedDevice = 3
	attachedMulti  = 4

	flagIfNoExist = 1 << 0
	flagSkb       = 1 << 1
	flagDriver    = 1 << 2
	flagDevice    = 1 << 3
	flagReplace   = 1 << 4
)

// modeFlags are the flags of each mode.
var modeFlags = map[string]uint32{ModeNative: flagDriver, ModeGeneric: flagSkb, ModeOffload: flagDevice}

// attached is a program in the XDP slot of an interface, by its mode.
type attached struct {
	mode string
	id   uint32
}

// slotOf asks what is in the XDP slot of an interface of the calling thread's
// network namespace: native first, then generic, then offload.
func slotOf(ifindex int) ([]attached, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(ifindex)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, fmt.Errorf("asking for interface %d: %w", ifindex, err)
	}
	for _, answer := range answers {
		if index, slot, err := parseLink(answer); err != nil || index == ifindex {
			return slot, err
		}
	}
	return nil, fmt.Errorf("asking for interface %d: %w", ifindex, unix.ENODEV)
}

// parseLink reads an RTM_NEWLINK message without its header.
func parseLink(b []byte) (ifindex int, slot []attached, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return 0, nil, errors.New("a message about an interface is too short")
	}
	ifindex = int(int32(binary.NativeEndian.Uint32(b[4:])))
	for kind, value := range attributes(b[unix.SizeofIfInfomsg:]) {
		if kind == unix.IFLA_XDP {
			slot = parseXDP(value)
		}
	}
	return ifindex, slot, nil
}

// attributes goes through netlink attributes by kind and value, up to the first
// whose length is wrong.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlAttr {
			size := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) & nl.NLA_TYPE_MASK
			if size < unix.SizeofNlAttr || size > len(b) || !yield(kind, b[unix.SizeofNlAttr:size]) {
				return
			}
			b = b[min(len(b), (size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
		}
	}
}

func parseXDP(b []byte) []attached {
	var mode uint8
	ids := map[uint16]uint32{}
	for kind, value := range attributes(b) {
		switch {
		case kind == attrXDPAttached && len(value) > 0:
			mode = value[0]
		case kind >= attrXDPProgID && kind <= attrXDPDeviceID && len(value) >= 4:
			ids[kind] = binary.NativeEndian.Uint32(value)
		}
	}
	// The kernel gives the id of the one program twice, and of several only by
	// their modes.
	var slot []attached
	for _, m := range []struct {
		mode string
		code uint8
		attr uint16
	}{
		{ModeNative, attachedDriver, attrXDPDriverID},
		{ModeGeneric, attachedSkb, attrXDPSkbID},
		{ModeOffload, attachedDevice, attrXDPDeviceID},
	} {
		id := ids[m.attr]
		if mode == m.code {
			id = max(id, ids[attrXDPProgID])
		}
		if id != 0 && (mode == m.code || mode == attachedMulti) {
			slot = append(slot, attached{m.mode, id})
		}
	}
	return slot
}

// setSlot changes the XDP slot of an interface in one step: fd is the program that
// shall be there, -1 for none; old is the one that must be there now, -1 for none.
// The error is EEXIST or EBUSY when something else is.
func setSlot(ifindex int, mode string, fd, old int) error {
	flags := modeFlags[mode]
	if old >= 0 {
		flags |= flagReplace
	} else {
		flags |= flagIfNoExist
	}
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(ifindex)
	req.AddData(msg)
	xdp := nl.NewRtAttr(unix.IFLA_XDP|unix.NLA_F_NESTED, nil)
	xdp.AddRtAttr(attrXDPFD, binary.NativeEndian.AppendUint32(nil, uint32(int32(fd))))
	xdp.AddRtAttr(attrXDPFlags, binary.NativeEndian.AppendUint32(nil, flags))
	if old >= 0 {
		xdp.AddRtAttr(attrXDPExpected, binary.NativeEndian.AppendUint32(nil, uint32(int32(old))))
	}
	req.AddData(xdp)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
