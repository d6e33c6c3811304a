// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
)

// tcFilter is a filter of traffic control as the kernel lists it.
type tcFilter struct {
	kind               string
	chain, handle      uint32
	priority, protocol uint16
	// program is that of a filter of kind bpf; direct says that its result is the
	// verdict.
	program tcProgram
	direct  bool
	actions []tcAction
}

// tcProgram is a BPF program in a filter; id 0 for none.
type tcProgram struct {
	id        uint32
	name, tag string
}

// tcAction is one action of a filter.
type tcAction struct {
	kind    string
	program tcProgram
}

// Attributes of filters and actions: enum of TCA_* in linux/rtnetlink.h,
// TCA_BPF_* in linux/pkt_cls.h, TCA_ACT_* there and TCA_ACT_BPF_* in
// linux/tc_act/tc_bpf.h.
const (
	tcaKind, tcaOptions, tcaChain = 1, 2, 11

	tcaBPFName, tcaBPFFlags, tcaBPFTag, tcaBPFID = 7, 8, 10, 11
	tcaBPFDirect                                 = 1

	tcaActKind, tcaActOptions                = 1, 2
	tcaActBPFName, tcaActBPFTag, tcaActBPFID = 6, 8, 9

	// tcmsgSize is the size of struct tcmsg, maxActions TCA_ACT_MAX_PRIO.
	tcmsgSize  = 20
	maxActions = 32
	// u32Node are the bits of a handle of u32 by which a filter differs from the
	// table it is in (TC_U32_NODE).
	u32Node = 0xfff
)

// actionsOf is the attribute with the actions, by the kind of filter
// (linux/pkt_cls.h).
func actionsOf(kind string) uint16 {
	return map[string]uint16{
		"bpf": 1, "cgroup": 1, "matchall": 2, "flower": 3, "basic": 3, "fw": 4, "route": 6, "u32": 7, "flow": 9,
	}[kind]
}

// errNoFilter: a message that only announces filters, or a table of them.
var errNoFilter = errors.New("no filter")

// parseFilter reads a message of type RTM_NEWTFILTER, without its header.
func parseFilter(msg []byte) (tcFilter, error) {
	var f tcFilter
	if len(msg) < tcmsgSize {
		return f, fmt.Errorf("a filter of %d bytes", len(msg))
	}
	f.handle = binary.NativeEndian.Uint32(msg[8:])
	info := binary.NativeEndian.Uint32(msg[16:])
	f.priority = uint16(info >> 16)
	var protocol [2]byte // in network order, wherever the machine has it
	binary.NativeEndian.PutUint16(protocol[:], uint16(info))
	f.protocol = binary.BigEndian.Uint16(protocol[:])
	var options []byte
	err := eachAttribute(msg[tcmsgSize:], func(kind uint16, value []byte) error {
		switch kind {
		case tcaKind:
			f.kind = untilNUL(value)
		case tcaOptions:
			options = value
		case tcaChain:
			f.chain = nativeUint32(value)
		}
		return nil
	})
	if err == nil && (options == nil || f.kind == "u32" && f.handle&u32Node == 0) {
		err = errNoFilter
	}
	if err != nil {
		return f, err
	}
	return f, f.parseOptions(options)
}

// parseOptions reads what differs from kind to kind.
func (f *tcFilter) parseOptions(options []byte) error {
	actions := actionsOf(f.kind)
	return eachAttribute(options, func(kind uint16, value []byte) error {
		if kind == actions {
			return f.parseActions(value)
		}
		if f.kind != "bpf" {
			return nil
		}
		switch kind {
		case tcaBPFName:
			f.program.name = untilNUL(value)
		case tcaBPFFlags:
			f.direct = nativeUint32(value)&tcaBPFDirect != 0
		case tcaBPFTag:
			f.program.tag = hex.EncodeToString(value)
		case tcaBPFID:
			f.program.id = nativeUint32(value)
		}
		return nil
	})
}

func (f *tcFilter) parseActions(list []byte) error {
	return eachAttribute(list, func(number uint16, action []byte) error {
		if number == 0 || number > maxActions || len(f.actions) == maxActions {
			return nil // statistics of all of them, or nothing that can be
		}
		var a tcAction
		var options []byte
		err := eachAttribute(action, func(kind uint16, value []byte) error {
			switch kind {
			case tcaActKind:
				a.kind = untilNUL(value)
			case tcaActOptions:
				options = value
			}
			return nil
		})
		if err == nil && a.kind == "bpf" {
			err = a.parseBPF(options)
		}
		if a.kind != "" {
			f.actions = append(f.actions, a)
		}
		return err
	})
}

func (a *tcAction) parseBPF(options []byte) error {
	return eachAttribute(options, func(kind uint16, value []byte) error {
		switch kind {
		case tcaActBPFName:
			a.program.name = untilNUL(value)
		case tcaActBPFTag:
			a.program.tag = hex.EncodeToString(value)
		case tcaActBPFID:
			a.program.id = nativeUint32(value)
		}
		return nil
	})
}

// eachAttribute walks a list of netlink attributes: length with its own 4 bytes,
// kind, value, and zeros up to the next multiple of 4 (netlink(7)).
func eachAttribute(list []byte, f func(kind uint16, value []byte) error) error {
	const header, flags = 4, 0xc000 // NLA_F_NESTED, NLA_F_NET_BYTEORDER
	for len(list) >= header {
		size := int(binary.NativeEndian.Uint16(list))
		if size < header || size > len(list) {
			return fmt.Errorf("an attribute of %d bytes where %d are left", size, len(list))
		}
		if err := f(binary.NativeEndian.Uint16(list[2:])&^flags, list[header:size]); err != nil {
			return err
		}
		list = list[min((size+3)&^3, len(list)):]
	}
	return nil
}

// untilNUL is the text of a netlink attribute, which may or may not end in a NUL.
// A table of strings is read otherwise: there, one without an end is refused.
func untilNUL(value []byte) string {
	text, _, _ := strings.Cut(string(value), "\x00")
	return text
}

// nativeUint32 is 0 when there are no 4 bytes.
func nativeUint32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

// programs are the lines of a filter: its program, or each of its actions that has
// one, or itself.
func (f tcFilter) programs() []ChainProgram {
	place := ChainFilter{Kind: f.kind, Chain: f.chain, Handle: f.handle, Protocol: f.protocol}
	for _, a := range f.actions {
		place.Actions = append(place.Actions, a.kind)
	}
	priority := int64(f.priority)
	line := func(p tcProgram, next string, action int) ChainProgram {
		at := place
		at.Action = action
		if p.name == "" {
			p.name = f.kind // a filter of the time before eBPF, say
		}
		return ChainProgram{ID: p.id, Name: p.name, Tag: p.tag, Priority: &priority, Filter: &at, Next: next}
	}
	var lines []ChainProgram
	switch {
	case f.kind == "bpf" && f.direct:
		lines = append(lines, line(f.program, nextUnspec, 0))
	case f.kind == "bpf":
		lines = append(lines, line(f.program, nextNoMatch, 0))
	}
	for i, a := range f.actions {
		if a.kind == "bpf" {
			lines = append(lines, line(a.program, nextUnspec, i+1))
		}
	}
	if lines == nil {
		lines = append(lines, line(tcProgram{name: f.kind}, nextNoMatch, 0))
	}
	return lines
}

// What [ChainProgram.Next] says besides the actions of XDP.
const (
	nextNext    = "next"     // TCX_NEXT and NETKIT_NEXT, -1
	nextUnspec  = "unspec"   // TC_ACT_UNSPEC, -1
	nextNoMatch = "no match" // filters that only choose packets
	nextAccept  = "accept"   // NF_ACCEPT
	nextNever   = "never"    // of a dispatcher that stops after the program
)

// appendFilter adds a filter's lines to those of the ones before it. Filters
// without programs of one kind and priority become one line: there may be
// thousands.
func appendFilter(lines []ChainProgram, f tcFilter) []ChainProgram {
	more := f.programs()
	if len(lines) == 0 || len(more) != 1 || more[0].ID != 0 || f.kind == "bpf" {
		return append(lines, more...)
	}
	last, one := &lines[len(lines)-1], more[0]
	if last.ID != 0 || last.Filter.Kind != one.Filter.Kind || last.Filter.Chain != one.Filter.Chain || *last.Priority != *one.Priority {
		return append(lines, more...)
	}
	last.Filter.Count = min(max(last.Filter.Count, 1)+1, math.MaxInt32)
	last.Filter.Handle, last.Filter.Actions = 0, nil
	return lines
}
