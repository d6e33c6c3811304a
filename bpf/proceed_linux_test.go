// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

const objProceed = "testdata/proceed.bpf.o"

// etherTest is IEEE 802's first EtherType for local experiments.
const etherTest = 0x88b5

// proceedPrograms are those of objProceed.
func proceedPrograms() []string {
	return []string{"plain", "untyped", "calls", "tail", "tails", "deep"}
}

// onlyProgram attaches one program of objProceed and loads the others.
func onlyProgram(t *testing.T, program, where string) []schemas.Attachment {
	t.Helper()
	list := []string{program + "=" + where}
	for _, other := range proceedPrograms() {
		if other != program {
			list = append(list, other+"=none")
		}
	}
	return attachments(t, list...)
}

// verdict runs a program of objProceed that returns code on packets that arrive at
// dev.
func (b *bench) verdict(name, program string, code int, options string) schemas.Instance {
	b.t.Helper()
	return b.start(verified(b.t, name, objProceed), RunOptions{
		Name: name, Set: []schemas.VariableSetting{{Name: "verdict", Value: itoa(code)}},
		Attach: onlyProgram(b.t, program, "tc:"+dev+",direction=ingress"+options),
	})
}

// listener counts the test's packets behind the ingress hooks of dev. A packet
// socket for one protocol gets them there (__netif_receive_skb_core), one for all
// before.
type listener struct {
	t  *testing.T
	fd int
}

func newListener(t *testing.T) *listener {
	t.Helper()
	const proto = etherTest>>8 | etherTest&0xff<<8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: netlinkByName(t, dev).Attrs().Index, Protocol: proto}); err != nil {
		t.Fatal(err)
	}
	return &listener{t: t, fd: fd}
}

// delivered is how many came since it was asked last.
func (l *listener) delivered() int {
	l.t.Helper()
	buf := make([]byte, 128)
	for n := 0; ; n++ {
		if _, _, err := unix.Recvfrom(l.fd, buf, 0); errors.Is(err, unix.EAGAIN) {
			return n
		} else if err != nil {
			l.t.Fatal(err)
		}
	}
}

// sendTest has n of the test's packets arrive at dev.
func sendTest(t *testing.T, n int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	frame := slices.Concat(netlinkByName(t, dev).Attrs().HardwareAddr, make([]byte, 6), []byte{etherTest >> 8, etherTest & 0xff}, make([]byte, 46))
	for range n {
		if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: netlinkByName(t, peer).Attrs().Index, Halen: 6}); err != nil {
			t.Fatal(err)
		}
	}
}

// fate is what became of a packet that the first program of a chain answered.
type fate struct{ next, delivered bool }

// TestTCReturnCodes is about every return code: what runs after it and whether the
// packet arrives, with the code alone and with proceed-on.
func TestTCReturnCodes(t *testing.T) {
	t.Parallel()
	on, lost, ends := fate{next: true, delivered: true}, fate{}, fate{delivered: true}
	// By the kernel's own rule. A code that tcx does not know ends tcx and not the
	// way of the packet.
	rule := map[string]map[string]fate{
		viaTCX: {
			"unspec": on, "ok": ends, "reclassify": ends, "shot": lost, "pipe": ends,
			"stolen": ends, "queued": ends, "repeat": ends, "redirect": lost, "trap": ends,
		},
		viaClsact: {
			"unspec": on, "ok": ends, "reclassify": on, "shot": lost, "pipe": on,
			"stolen": lost, "queued": on, "repeat": on, "redirect": lost, "trap": lost,
		},
	}
	for via, codes := range rule {
		if via == viaTCX {
			if err := haveTCXHere(t); err != nil {
				continue
			}
		}
		for i, name := range tcActions() {
			for _, tc := range []struct {
				options string
				want    fate
			}{
				{"", codes[name]},
				{",proceed-on=" + name, on},
				{",proceed-on=" + strings.Join(slices.DeleteFunc(tcActions(), func(a string) bool { return a == name }), ","), codes[name]},
			} {
				t.Run(via+" "+name+tc.options, func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					l := newListener(t)
					first := b.verdict("first", "plain", i+tcUnspec, b.place(via, 10)+tc.options)
					second := b.verdict("second", "plain", tcUnspec, b.place(via, 20))
					sendTest(t, 4)
					b.wantCount("first", "seen", 0, 4)
					got := fate{next: b.countAt("second", "seen", 0) == "4", delivered: l.delivered() == 4}
					if got != tc.want {
						t.Errorf("%+v, want %+v", got, tc.want)
					}
					b.stopAll(first, second)
				})
			}
		}
	}
}

// haveTCXHere says whether the kernel has tcx.
func haveTCXHere(t *testing.T) error {
	t.Helper()
	if !kernelSince("6.6") {
		return errors.ErrUnsupported
	}
	return nil
}

// place is where a program is attached that comes at place n of a few.
func (b *bench) place(via string, n int) string {
	if via == viaTCX {
		return ",via=tcx" // in the order they come
	}
	return fmt.Sprintf(",via=clsact,priority=%d", n)
}

// stopAll stops instances on one interface, which is bare then.
func (b *bench) stopAll(list ...schemas.Instance) {
	b.t.Helper()
	last := len(list) - 1
	for _, rec := range list[:last] {
		if err := b.Stop(b.t.Context(), rec.Name); err != nil {
			b.t.Fatal(err)
		}
	}
	b.stop(list[last])
}

// TestProceedOnShapes is about programs that are more than one function.
func TestProceedOnShapes(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"plain", "untyped", "calls", "tail", "tails"} {
		for _, via := range []string{viaTCX, viaClsact} {
			t.Run(program+" "+via, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				if err := haveTCXHere(t); via == viaTCX && err != nil {
					t.Skip("SKIP-REASON: needs a kernel that has tcx (6.6)")
				}
				l := newListener(t)
				first := b.verdict("first", program, 0, b.place(via, 10)+",proceed-on=ok")
				second := b.verdict("second", program, 0, b.place(via, 20))
				third := b.verdict("third", program, 0, b.place(via, 30))
				sendTest(t, 3)
				for instance, want := range map[string]int{"first": 3, "second": 3, "third": 0} {
					b.wantCount(instance, "seen", 0, want)
				}
				if n := l.delivered(); n != 3 {
					t.Errorf("%d packets arrived", n)
				}
				if o := first.Links[0].Options[schemas.OptionProceedOn]; o != "ok" {
					t.Errorf("recorded: %q", o)
				}
				b.stopAll(first, second, third)
			})
		}
	}
}

// TestProceedOnTooDeep is about a program that leaves the entry no room.
func TestProceedOnTooDeep(t *testing.T) {
	b := newBench(t)
	run := func(options string) error {
		r, err := b.Run(t.Context(), verified(t, "x", objProceed), RunOptions{
			Name: "deep", Attach: onlyProgram(t, "deep", "tc:"+dev+",direction=ingress,via=clsact"+options),
		})
		if err == nil {
			b.stop(r.Instance)
		}
		return err
	}
	if err := run(""); err != nil {
		t.Fatal(err)
	}
	err := run(",proceed-on=ok")
	wantError(t, err, nil, `program "deep"`, "takes it alone", "proceed-on", "call stack of 9 frames")
	if kernel := (&KernelError{}); !errors.As(err, &kernel) || kernel.Log == "" {
		t.Errorf("no verifier log in %v", err)
	}
	b.checkBare("deep")
}

func TestProceedOnRefused(t *testing.T) {
	b := newBench(t)
	for list, words := range map[string][]string{
		"pass":    {`no return code "pass"`, "unspec, ok, reclassify"},
		"ok,,ok":  {"option"},
		"ok,drop": {`"drop"`},
		"OK":      {`"OK"`},
	} {
		a, err := schemas.ParseAttachment("plain=tc:" + dev + ",direction=ingress,proceed-on=" + list)
		if err == nil {
			attach := append(onlyProgram(t, "plain", "tc:"+dev)[1:], a)
			_, err = b.Run(t.Context(), verified(t, "x", objProceed), RunOptions{Attach: attach})
			wantError(t, err, ErrUsage, words...)
			continue
		}
		wantError(t, err, nil, words...)
	}
}

// TestProceedOnSpelling is about the list as it is recorded.
func TestProceedOnSpelling(t *testing.T) {
	for list, want := range map[string]string{
		"pipe,ok": "ok,pipe", "ok,ok": "ok", "unspec": "unspec", "unspec,trap": "trap", "redirect,unspec,shot": "shot,redirect",
	} {
		p := &placement{link: schemas.InstanceLink{Options: map[string]string{schemas.OptionProceedOn: list}}}
		if err := checkProceedOn(p); err != nil || p.option(schemas.OptionProceedOn) != want {
			t.Errorf("%s: %q, %v; want %q", list, p.option(schemas.OptionProceedOn), err, want)
		}
	}
}

// TestUpdateProceedOn is about an update that changes proceed-on: the program is
// exchanged where it is.
func TestUpdateProceedOn(t *testing.T) {
	for _, via := range []string{viaTCX, viaClsact} {
		t.Run(via, func(t *testing.T) {
			b := newBench(t)
			if err := haveTCXHere(t); via == viaTCX && err != nil {
				t.Skip("SKIP-REASON: needs a kernel that has tcx (6.6)")
			}
			first := b.verdict("first", "plain", 0, b.place(via, 10)+",proceed-on=pipe")
			second := b.verdict("second", "plain", 0, b.place(via, 20))
			was := first.Links[0]
			for _, step := range []struct {
				attach string
				second int
			}{{",proceed-on=ok", 2}, {"", 4}, {",proceed-on=unspec", 4}} {
				opts := UpdateOptions{Force: step.attach == ""}
				if step.attach != "" {
					opts.Attach = attachments(t, "plain=tc:"+dev+step.attach)
				}
				u := b.update("first", verified(t, "x", objProceed), opts)
				if got := changes(u)["plain"]; got != ChangeSwapped {
					t.Errorf("%q: plain was %s", step.attach, got)
				}
				is := u.Instance.Links[0]
				if was.ID != is.ID || was.Options["priority"] != is.Options["priority"] || was.Options["handle"] != is.Options["handle"] {
					t.Errorf("%q: was %+v, is %+v", step.attach, was, is)
				}
				sendTest(t, 2)
				b.wantCount("second", "seen", 0, step.second)
			}
			b.stopAll(first, second)
		})
	}
}

// TestProceedOnEntry is about what is loaded: the names people meet, and a name
// that is taken.
func TestProceedOnEntry(t *testing.T) {
	b := newBench(t)
	rec := b.verdict("x", "calls", 0, ",via=clsact,proceed-on=ok,pipe")
	i := slices.IndexFunc(rec.Programs, func(p schemas.InstanceProgram) bool { return p.Name == "calls" })
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(rec.Programs[i].ID))
	if err != nil {
		t.Fatal(err)
	}
	info, err := prog.Info()
	if err != nil {
		t.Fatal(err)
	}
	funcs, err := info.FuncInfos()
	if err != nil {
		t.Fatal(err)
	}
	if err := prog.Close(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range funcs {
		names = append(names, f.Func.Name)
	}
	if got := strings.Join(names, " "); got != "calls__proceed calls outer inner" && got != "calls__proceed calls inner outer" {
		t.Errorf("functions: %s", got)
	}
	b.stop(rec)
}
