// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"encoding/binary"
	"reflect"
	"testing"
)

// attr writes a netlink attribute.
func attr(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func id(kind uint16, id uint32) []byte {
	return attr(kind, binary.NativeEndian.AppendUint32(nil, id)...)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestParseXDP(t *testing.T) {
	for _, tc := range []struct {
		name string
		b    []byte
		want []attached
	}{
		{"nothing", attr(attrXDPAttached, 0), nil},
		{"native", join(attr(attrXDPAttached, 1), id(attrXDPProgID, 5), id(attrXDPDriverID, 5)), []attached{{ModeNative, 5}}},
		{"generic", join(attr(attrXDPAttached, 2), id(attrXDPProgID, 6), id(attrXDPSkbID, 6)), []attached{{ModeGeneric, 6}}},
		{"offload", join(attr(attrXDPAttached, 3), id(attrXDPProgID, 7), id(attrXDPDeviceID, 7)), []attached{{ModeOffload, 7}}},
		{"an old kernel", join(attr(attrXDPAttached, 1), id(attrXDPProgID, 5)), []attached{{ModeNative, 5}}},
		{
			"several", join(attr(attrXDPAttached, 4), id(attrXDPDeviceID, 7), id(attrXDPDriverID, 5)),
			[]attached{{ModeNative, 5}, {ModeOffload, 7}},
		},
		{"cut short", join(attr(attrXDPAttached, 1), attr(attrXDPDriverID, 5)), nil},
	} {
		if got := parseXDP(tc.b); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	head := make([]byte, 16)
	f.Add(head)
	f.Add(join(head, attr(43, join(attr(attrXDPAttached, 1), id(attrXDPDriverID, 5))...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, slot, err := parseLink(b); err == nil && len(slot) > 3 {
			t.Errorf("%d programs", len(slot))
		}
	})
}

func TestProgramInInfo(t *testing.T) {
	for text, want := range map[string]uint32{
		"pos:\t0\nprog_type:\t6\nprog_id:\t77\n": 77,
		"prog_id:\t4294967296\n":                 0,
		"xprog_id:\t1\n":                         0,
		"":                                       0,
	} {
		if got, ok := programInInfo([]byte(text)); got != want && ok {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func FuzzProgramInInfo(f *testing.F) {
	f.Add([]byte("prog_id:\t77\n"))
	f.Fuzz(func(_ *testing.T, b []byte) { programInInfo(b) })
}

func TestLastLine(t *testing.T) {
	log := append([]byte("func#0\n0: R1=ctx\ninvalid access\nprocessed 3 insns (limit 1000000)\n"), 0, 'x')
	if got := lastLine(log); got != `: "invalid access"` {
		t.Errorf("got %s", got)
	}
	if got := lastLine(make([]byte, 8)); got != "" {
		t.Errorf("got %s", got)
	}
}
