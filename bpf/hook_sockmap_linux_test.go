// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// echoes writes to a connection whose other end nobody reads, and gets it back.
func echoes(t *testing.T, client int, times int) {
	t.Helper()
	for range times {
		must[int](t)(unix.Write(client, []byte("hello")))
		buffer := make([]byte, 16)
		n, err := unix.Read(client, buffer)
		if err != nil || string(buffer[:n]) != "hello" {
			t.Fatalf("echo %q, error %v", buffer[:max(n, 0)], err)
		}
	}
}

func TestSockmap(t *testing.T) {
	for _, tc := range []struct {
		name   string
		attach []string
		event  string // of the first link, in the record
		want   []uint64
	}{
		{
			"stream",
			[]string{"parse=sk_skb:socks", "echo=sk_skb:socks", "on_send=sk_msg:socks", "echo_all=none"},
			"stream_verdict",
			[]uint64{3, 3},
		},
		{
			"verdict",
			[]string{"parse=none", "echo=none", "on_send=sk_msg:socks", "echo_all=sk_skb:socks,event=verdict"},
			"verdict",
			[]uint64{0, 3},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			loopbackUp(t)
			rec := b.start(verified(t, "x", objSockmap), RunOptions{Attach: attachments(t, tc.attach...)})
			if l := rec.Links[0]; l.Options["event"] != tc.event || l.Map != "socks" {
				t.Errorf("record %+v", l)
			}
			client, server := connection(t)
			putSocket(t, rec, "socks", server)
			echoes(t, client, 3)
			b.wantCounts(rec.Name, "counts", tc.want...)
			// How many of the echoes are seen as sent is a matter of the kernel.
			d, _ := b.dump(rec.Name, "counts")
			before := must[int64](t)(d.Entries[2].Value.(json.Number).Int64())
			must[int](t)(unix.Write(server, []byte("bye")))
			must[int](t)(unix.Read(client, make([]byte, 8)))
			b.wantCounts(rec.Name, "counts", append(tc.want, uint64(before+1))...)
			b.stop(rec)
			// The connection has outlived the map, and is an ordinary one again.
			must[int](t)(unix.Write(client, []byte("more")))
			must[int](t)(unix.Read(server, make([]byte, 8)))
		})
	}
}

// TestSockmapHeldByMap goes the way of kernels before 6.10 on any kernel.
func TestSockmapHeldByMap(t *testing.T) {
	b := newBench(t)
	p, err := newPlan(verified(t, "x", objSockmap), RunOptions{Attach: attachments(t,
		"parse=none", "echo=sk_skb:socks", "on_send=sk_msg:socks", "echo_all=sk_skb:socks,event=stream_verdict")})
	if err != nil {
		t.Fatal(err)
	}
	h := must[*host](t)(b.host())
	h.plan = p
	for _, pl := range p.placements {
		if err := pl.hook.prepare(t.Context(), h, pl); err != nil {
			t.Fatal(err)
		}
		pl.link.Via = viaMap
	}
	objs := must[*loaded](t)(p.load())
	defer objs.Close()
	h.objs = objs
	r := &removal{m: b.Manager, rec: &schemas.Instance{}}
	for _, m := range objs.maps {
		r.rec.Maps = append(r.rec.Maps, m.InstanceMap)
	}
	recorded := func(pl *placement) schemas.InstanceProgram {
		i := slices.IndexFunc(objs.programs, func(p loadedProgram) bool { return p.Name == pl.link.Program })
		return objs.programs[i].InstanceProgram
	}
	attach := func(pl *placement) error {
		held, err := pl.hook.attach(t.Context(), h, pl, objs.program(pl.link.Program))
		if held != nil {
			t.Errorf("%s is held by %v", pl, held)
		}
		return err
	}
	echo, second, send := p.placements[0], p.placements[1], p.placements[2]
	if err := attach(echo); err != nil {
		t.Fatal(err)
	}
	if err := attach(send); err != nil {
		t.Fatal(err)
	}
	wantError(t, attach(second), unix.EBUSY, "has another program for this event")
	h.sockmaps = nil // now only the kernel knows
	if kernelAtLeast(5, 17) {
		wantError(t, attach(second), unix.EBUSY, "has another program for this event")
	}
	// What is not ours is left: the second was never attached.
	second.link.MapID = echo.link.MapID
	for _, pl := range []*placement{second, echo, send} {
		hook := pl.hook.(remover)
		if problem := hook.gone(pl.link, recorded(pl)); (problem == "") != (pl != second) && kernelAtLeast(5, 17) {
			t.Errorf("%s: problem %q", pl, problem)
		}
		if err := hook.remove(context.Background(), r, pl.link, recorded(pl)); err != nil {
			t.Error(err)
		}
		if problem := hook.gone(pl.link, recorded(pl)); problem == "" && kernelAtLeast(5, 17) {
			t.Errorf("%s is still attached", pl)
		}
	}
}

// TestSocketsRefused has nothing loaded.
func TestSocketsRefused(t *testing.T) {
	b := newBench(t)
	loopbackUp(t)
	b.opts.step = func(step string) error {
		t.Errorf("step %q in spite of the wrong target", step)
		return nil
	}
	b.reopen()
	plain, _ := listen(t)
	null := must[int](t)(unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0))
	defer unix.Close(null)
	sockmap := func(list ...string) []string {
		for _, program := range []string{"parse", "echo", "on_send", "echo_all"} {
			if !slices.ContainsFunc(list, func(s string) bool { return len(s) > len(program) && s[:len(program)+1] == program+"=" }) {
				list = append(list, program+"=none")
			}
		}
		return list
	}
	for _, tc := range []struct {
		name, object string
		attach       []string
		err          error
		word         string
	}{
		{"filter without a holder", objSocket, []string{"on_packet=socket:" + dev}, ErrUsage, "--foreground"},
		{"filter without an interface", objSocket, []string{"on_packet=socket"}, ErrUsage, "needs an interface"},
		{"filter on no interface", objSocket, []string{"on_packet=socket:nosuch0"}, ErrNoTarget, "no interface"},
		{"promisc", objSocket, []string{"on_packet=socket:" + dev + ",promisc=maybe"}, ErrUsage, "on, off"},
		{"lookup with a target", objLookup, []string{"steer=sk_lookup:" + dev}, ErrUsage, "takes no target"},
		{"lookup elsewhere", objLookup, []string{"steer=sk_lookup,netns=/run/netns/no-such"}, ErrNoTarget, "no network namespace"},
		{"no map", objSockmap, sockmap("echo=sk_skb"), ErrUsage, "needs a map of sockets"},
		{"unknown map", objSockmap, sockmap("echo=sk_skb:flows"), ErrUsage, `it has "socks"`},
		{"map of another kind", objSockmap, sockmap("on_send=sk_msg:counts"), ErrUsage, `it has "socks"`},
		{"no event", objSockmap, sockmap("echo_all=sk_skb:socks"), ErrUsage, "event=stream_verdict"},
		{"image without such maps", objReuseport, []string{"choose=sk_msg:choices"}, ErrUsage, "hook takes sk_msg"},
		{"reuseport words", objReuseport, []string{"choose=sk_reuseport:7007"}, ErrUsage, "pid:NUMBER/fd:NUMBER"},
		{"reuseport without a process", objReuseport, []string{"choose=sk_reuseport:pid:2147483647/fd:1"}, ErrNoTarget, "there is no process"},
		{"reuseport without a file", objReuseport, []string{"choose=sk_reuseport:" + socketTarget(1<<20)}, ErrNoTarget, "no open file"},
		{"reuseport on a file", objReuseport, []string{"choose=sk_reuseport:" + socketTarget(null)}, ErrUsage, "not a socket"},
		{"reuseport on a lone socket", objReuseport, []string{"choose=sk_reuseport:" + socketTarget(plain)}, ErrUsage, "SO_REUSEPORT"},
	} {
		// No subtest: it would be in another network namespace.
		t.Log(tc.name)
		_, err := b.Run(t.Context(), verified(t, "x", tc.object), RunOptions{Attach: attachments(t, tc.attach...)})
		wantError(t, err, tc.err, tc.word)
	}
	b.disarm()
}

func FuzzParseProcessSocket(f *testing.F) {
	for _, seed := range []string{"pid:1/fd:0", "pid:0/fd:0", "pid:1", "fd:1/pid:1", "pid:99999999999/fd:1", "pid:1/fd:-1", "pid:1/fd:1/x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		pid, fd, err := parseProcessSocket(target)
		if err == nil && (pid <= 0 || fd < 0) {
			t.Errorf("%q is process %d, file %d", target, pid, fd)
		}
	})
}
