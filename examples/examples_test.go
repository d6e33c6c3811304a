// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Package examples holds BPF programs in C; this is their test, on the running
// kernel and on frames made up here.
package examples

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// counter is struct counter of the C sources.
type counter struct{ Packets, Bytes uint64 }

// service is struct service of xdp-filter, in network byte order.
type service struct {
	Port           [2]byte
	Protocol, Zero uint8
}

// Verdicts (enum xdp_action of linux/bpf.h, TC_ACT_UNSPEC of linux/pkt_cls.h).
const (
	xdpDrop     = 1
	xdpPass     = 2
	tcActUnspec = ^uint32(0)
)

// load loads an example's object into the kernel, or skips the test.
func load(t *testing.T, path string) *ebpf.Collection {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := inspect.Load(data)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ebpf.NewCollection(spec)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("SKIP-REASON: runs as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(c.Close)
	return c
}

// run gives a program one frame and returns its verdict.
func run(t *testing.T, p *ebpf.Program, frame []byte) uint32 {
	t.Helper()
	verdict, err := p.Run(&ebpf.RunOptions{Data: frame})
	if errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("SKIP-REASON: runs where the kernel has BPF_PROG_TEST_RUN")
	}
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// sum adds up a per-CPU counter; a key without an entry counts as zero.
func sum(t *testing.T, m *ebpf.Map, key any) (total counter) {
	t.Helper()
	var perCPU []counter
	if err := m.Lookup(key, &perCPU); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		t.Fatal(err)
	}
	for _, c := range perCPU {
		total.Packets += c.Packets
		total.Bytes += c.Bytes
	}
	return total
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func ethernet(proto uint16) []byte { return binary.BigEndian.AppendUint16(make([]byte, 12), proto) }

func vlan(proto uint16) []byte { return binary.BigEndian.AppendUint16([]byte{0, 7}, proto) }

// ipv4 is a header of options words more than five.
func ipv4(proto byte, options int, fragment uint16) []byte {
	h := make([]byte, 20+4*options)
	h[0], h[9] = 0x45+byte(options), proto
	binary.BigEndian.PutUint16(h[6:], fragment)
	return h
}

func ipv6(next byte) []byte {
	h := make([]byte, 40)
	h[0], h[6] = 0x60, next
	return h
}

// ports is the start of a TCP or UDP header, and what follows in the shorter.
func ports(to uint16) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xc0, 0}, to), 0, 0, 0, 0)
}

func TestXDPCounter(t *testing.T) {
	c := load(t, "xdp-counter/counter.bpf.o")
	for _, tc := range []struct {
		name  string
		frame []byte
		proto uint32
	}{
		{"icmp", join(ethernet(0x0800), ipv4(1, 0, 0)), 1},
		{"tcp in one vlan", join(ethernet(0x8100), vlan(0x0800), ipv4(6, 0, 0)), 6},
		{"udp in two vlans", join(ethernet(0x88a8), vlan(0x8100), vlan(0x0800), ipv4(17, 0, 0)), 17},
		{"icmpv6", join(ethernet(0x86dd), ipv6(58)), 58},
		{"arp", join(ethernet(0x0806), make([]byte, 28)), 255},
		{"short ipv4", join(ethernet(0x0800), make([]byte, 19)), 255},
	} {
		before := sum(t, c.Maps["pkts"], tc.proto)
		for range 2 {
			if verdict := run(t, c.Programs["xdp_count"], tc.frame); verdict != xdpPass {
				t.Errorf("%s: verdict %d", tc.name, verdict)
			}
		}
		want := counter{before.Packets + 2, before.Bytes + 2*uint64(len(tc.frame))}
		if got := sum(t, c.Maps["pkts"], tc.proto); got != want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, want)
		}
	}
}

func TestXDPFilter(t *testing.T) {
	c := load(t, "xdp-filter/filter.bpf.o")
	tcp8080 := service{Port: [2]byte{0x1f, 0x90}, Protocol: 6}
	frame := join(ethernet(0x0800), ipv4(6, 0, 0), ports(8080))
	if verdict := run(t, c.Programs["xdp_filter"], frame); verdict != xdpPass {
		t.Errorf("no rules: verdict %d", verdict)
	}
	if err := c.Maps["ports"].Put(tcp8080, uint32(xdpDrop)); err != nil {
		t.Fatal(err)
	}
	var dropped uint64
	for _, tc := range []struct {
		name  string
		frame []byte
		want  uint32
	}{
		{"ipv4", frame, xdpDrop},
		{"vlan", join(ethernet(0x8100), vlan(0x0800), ipv4(6, 0, 0), ports(8080)), xdpDrop},
		{"ipv4 options", join(ethernet(0x0800), ipv4(6, 10, 0), ports(8080)), xdpDrop},
		{"first fragment", join(ethernet(0x0800), ipv4(6, 0, 0x2000), ports(8080)), xdpDrop},
		{"ipv6", join(ethernet(0x86dd), ipv6(6), ports(8080)), xdpDrop},
		{"ipv6 hop-by-hop", join(ethernet(0x86dd), ipv6(0), []byte{6, 1}, make([]byte, 14), ports(8080)), xdpDrop},
		{"ipv6 first fragment", join(ethernet(0x86dd), ipv6(44), []byte{6, 0, 0, 1, 0, 0, 0, 9}, ports(8080)), xdpDrop},
		{"another port", join(ethernet(0x0800), ipv4(6, 0, 0), ports(8081)), xdpPass},
		{"another protocol", join(ethernet(0x0800), ipv4(17, 0, 0), ports(8080)), xdpPass},
		{"no ports", join(ethernet(0x0800), ipv4(1, 0, 0), ports(8080)), xdpPass},
		{"later fragment", join(ethernet(0x0800), ipv4(6, 0, 0x0010), ports(8080)), xdpPass},
		{"ipv6 later fragment", join(ethernet(0x86dd), ipv6(44), []byte{6, 0, 0, 8, 0, 0, 0, 9}, ports(8080)), xdpPass},
		{"header length", join(ethernet(0x0800), []byte{0x44}, make([]byte, 8), []byte{6}, make([]byte, 10), ports(8080)), xdpPass},
		{"cut ports", join(ethernet(0x0800), ipv4(6, 0, 0), []byte{0, 1, 0x1f, 0x90}), xdpPass},
		{"not ip", join(ethernet(0x0806), make([]byte, 28)), xdpPass},
	} {
		if got := run(t, c.Programs["xdp_filter"], tc.frame); got != tc.want {
			t.Errorf("%s: verdict %d, want %d", tc.name, got, tc.want)
		}
		if tc.want == xdpDrop {
			dropped++
		}
	}
	if got := sum(t, c.Maps["drops"], tcp8080); got.Packets != dropped || got.Bytes < dropped*uint64(len(frame)) {
		t.Errorf("drops are %+v, want %d packets", got, dropped)
	}
	if err := c.Maps["ports"].Put(tcp8080, uint32(xdpPass)); err != nil {
		t.Fatal(err)
	}
	if verdict := run(t, c.Programs["xdp_filter"], frame); verdict != xdpPass {
		t.Errorf("rule switched off: verdict %d", verdict)
	}
}

func TestTCBytes(t *testing.T) {
	c := load(t, "tc-bytes/bytes.bpf.o")
	frame := join(ethernet(0x0800), ipv4(17, 0, 0), ports(53))
	for direction, name := range []string{"tc_ingress", "tc_egress"} {
		if verdict := run(t, c.Programs[name], frame); verdict != tcActUnspec {
			t.Errorf("%s: verdict %d", name, int32(verdict))
		}
		want := counter{1, uint64(len(frame))}
		if got := sum(t, c.Maps["traffic"], uint32(direction)); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// TestLoads has the verifier look at the programs that cannot be run here.
func TestLoads(t *testing.T) {
	for _, path := range []string{"kprobe-unlink/unlink.bpf.o", "tracepoint-exec/exec.bpf.o"} {
		load(t, path)
	}
}

// TestRejected keeps the objects of bpf/testdata refused for the reason they are
// there for.
func TestRejected(t *testing.T) {
	load(t, "tracepoint-exec/exec.bpf.o") // skips without permission
	for name, want := range map[string]string{
		"nogpl":    "cannot call GPL-restricted function",
		"rejected": "invalid access to packet",
	} {
		data, err := os.ReadFile("../bpf/testdata/" + name + ".bpf.o")
		if err != nil {
			t.Fatal(err)
		}
		spec, err := inspect.Load(data)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ebpf.NewCollection(spec)
		if err == nil {
			c.Close()
		}
		var refused *ebpf.VerifierError
		if !errors.As(err, &refused) || !strings.Contains(strings.Join(refused.Log, "\n"), want) {
			t.Errorf("%s: %v, want %q in the log", name, err, want)
		}
	}
}
