// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/internal/btfvalue"
)

// dumpOf is what a dump shows.
func dumpOf(t testing.TB, typ btf.Type, data []byte, order binary.ByteOrder) string {
	t.Helper()
	return jsonOf(t, btfvalue.Decode(typ, data, order))
}

// defaultOf is what a Description lists, but for its limits.
func defaultOf(t testing.TB, typ btf.Type, data []byte, order binary.ByteOrder) string {
	t.Helper()
	return jsonOf(t, btfvalue.Whole(typ, data, order, 1<<20))
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%v: %v", v, err)
	}
	return string(text)
}

// given is JSON as a person gives it: text without its quotes.
func given(value string) string {
	var text string
	if json.Unmarshal([]byte(value), &text) == nil {
		return text
	}
	return value
}

func set(typ btf.Type, value string, current []byte, order binary.ByteOrder) ([]byte, error) {
	return btfvalue.Encode(typ, given(value), current, order)
}

// roundTrip holds the ways to write a value against each other.
func roundTrip(t *testing.T, typ btf.Type, data []byte, order binary.ByteOrder) {
	t.Helper()
	know := surveyOf(typ, data, order)
	dump, def := dumpOf(t, typ, data, order), defaultOf(t, typ, data, order)
	checkDump(t, typ, data, dump, know)
	checkDefault(t, typ, data, def, know)
	checkSpelling(t, data, def, dump, know)
}

// checkDump: what a dump shows gives the same bytes, whatever was there before; of
// what it does not show, nothing changes.
func checkDump(t *testing.T, typ btf.Type, data []byte, dump string, know survey) {
	t.Helper()
	for name, current := range map[string][]byte{"itself": bytes.Clone(data), "zeros": make([]byte, len(data)), "its complement": complement(data)} {
		if know.pointers && name != "itself" {
			continue // pointers cannot be set
		}
		got, err := set(typ, dump, current, know.order)
		if err != nil {
			t.Errorf("dump %s set over %s: %v", dump, name, err)
			continue
		}
		for i := range data {
			if diff := (got[i]^data[i])&know.told[i] | (got[i]^current[i])&^know.named[i]; diff != 0 {
				t.Errorf("dump %s set over %s: %x, want %x (of which told: %x)", dump, name, got, data, know.told)
				break
			}
		}
	}
}

func complement(data []byte) []byte {
	out := bytes.Clone(data)
	for i := range out {
		out[i] = ^out[i]
	}
	return out
}

// checkDefault: what a Description lists as the default tells all bytes.
func checkDefault(t *testing.T, typ btf.Type, data []byte, def string, know survey) {
	t.Helper()
	current := make([]byte, len(data))
	if know.pointers {
		copy(current, data)
	}
	got, err := set(typ, def, current, know.order)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("default %s: %x, %v; want %x", def, got, err, data)
	}
}

// checkSpelling: the default is written as in a dump, and in hexadecimal only where
// its members do not tell it.
func checkSpelling(t *testing.T, data []byte, def, dump string, know survey) {
	t.Helper()
	if def == dump {
		return
	}
	if def == fmt.Sprintf(`"0x%x"`, data) && dump[0] != '"' {
		if know.tells(data) {
			t.Errorf("default %s, though its members tell all of it: %s", def, dump)
		}
		return
	}
	if why := differ(parse(t, def), parse(t, dump)); why != "" {
		t.Errorf("default %s\ndump %s\n%s", def, dump, why)
	}
}

// node is JSON whose fields have an order.
type node struct {
	text   string // as it is written; "" of lists and objects
	list   []node
	names  []string
	fields []node
}

func parse(t *testing.T, text string) node {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var read func() node
	read = func() (n node) {
		token, err := dec.Token()
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		switch token {
		case json.Delim('['):
			for dec.More() {
				n.list = append(n.list, read())
			}
		case json.Delim('{'):
			for dec.More() {
				name, _ := dec.Token()
				n.names, n.fields = append(n.names, name.(string)), append(n.fields, read())
			}
		default:
			raw, _ := json.Marshal(token)
			return node{text: string(raw)}
		}
		_, _ = dec.Token()
		return n
	}
	return read()
}

// differ says where a default is spelt otherwise than a dump, but for the ways in
// which it shall be: of a union it has one member where the dump has all, text with
// more behind its NUL is a list, what is no number tells its bytes, and only types
// make addresses, not names.
func differ(def, dump node) string {
	switch {
	case def.text != "" || dump.text != "":
		if def.text == dump.text || sameAddress(def, dump) || sameText(def.list, dump) || dump.text == `"NaN"` && strings.HasPrefix(def.text, `"0x`) {
			return ""
		}
		return fmt.Sprintf("%v is %v in the dump", def, dump)
	case len(def.list) != len(dump.list):
		return "lists of different lengths"
	}
	for i := range def.list {
		if why := differ(def.list[i], dump.list[i]); why != "" {
			return why
		}
	}
	at := 0
	for i, name := range def.names {
		for at < len(dump.names) && dump.names[at] != name {
			at++
		}
		if at == len(dump.names) {
			return fmt.Sprintf("the dump has no %q there", name)
		}
		if why := differ(def.fields[i], dump.fields[at]); why != "" {
			return name + ": " + why
		}
	}
	return ""
}

func sameAddress(def, dump node) bool {
	ip, err := netip.ParseAddr(strings.Trim(dump.text, `"`))
	return err == nil && ip.Is4() && fmt.Sprint(binary.BigEndian.Uint32(ip.AsSlice())) == def.text
}

func sameText(list []node, dump node) bool {
	var data []byte
	for _, e := range list {
		var n int
		if json.Unmarshal([]byte(e.text), &n) != nil || n == 0 {
			break
		}
		data = append(data, byte(n))
	}
	return len(data) < len(list) && dump.text != "" && string(data) == given(dump.text)
}

// randomTrip is one round trip of a type and a value made of choices.
func randomTrip(t *testing.T, choices []byte) {
	g := &generator{entropy: &entropy{data: choices[:min(len(choices), 4096)]}}
	typ := g.typ(0)
	if sizeOf(typ) > mostBytes {
		return
	}
	data, order := make([]byte, sizeOf(typ)), binary.ByteOrder(binary.LittleEndian)
	if g.chance(50) {
		order = binary.BigEndian
	}
	g.paint(typ, data, order)
	roundTrip(t, typ, data, order)
	if t.Failed() {
		t.Logf("%s of bytes %x, %s", spell(typ), data, order)
	}
}

// TestRoundTrip goes there and back with random values of random types: what a dump
// shows is what `--set` takes, and what a Description lists.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(3000) {
		randomTrip(t, choices(seed))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func choices(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	out := make([]byte, 600)
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}

// FuzzRoundTrip is [TestRoundTrip] with the choices of the fuzzer.
func FuzzRoundTrip(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(choices(1<<32 + seed))
	}
	f.Fuzz(randomTrip)
}
