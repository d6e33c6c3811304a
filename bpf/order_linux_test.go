// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
)

// line is a list of programs in the kernel, and what it should be: instances are
// named by their digits.
type line struct {
	t    *testing.T
	host *host
	// hook and options of a placement there.
	hook, target string
	options      map[string]string
	spec         ebpf.ProgramSpec
	// query asks the kernel for the list.
	query func() []ebpf.ProgramID
	held  []held
	// shared: others change it as well.
	shared bool
}

// held is one program of a line; digit 0 is foreign.
type held struct {
	name    string
	program ebpf.ProgramID
	prog    *ebpf.Program
	link    link.Link
	options map[string]string
}

// add attaches one more program the way a run does, and records it.
func (l *line) add(name string, options map[string]string) {
	l.t.Helper()
	prog := l.program()
	p := l.placement(options)
	if err := p.hook.prepare(l.t.Context(), l.host, p); err != nil {
		l.t.Fatalf("%s of %s: %v", options, l, err)
	}
	c, err := p.hook.attach(l.t.Context(), l.host, p, prog)
	if err != nil {
		l.t.Fatalf("%s of %s: %v", options, l, err)
	}
	one := held{name: name, prog: prog, link: c.(link.Link), options: p.link.Options}
	one.program = must[ebpf.ProgramID](l.t)(idOf(prog))
	info := must[*link.Info](l.t)(one.link.Info())
	p.link.ID = uint32(info.ID)
	l.host.records = append(l.host.records, schemas.Instance{
		Name: name, BootID: must[string](l.t)(bootID()), Links: []schemas.InstanceLink{p.link},
		Programs: []schemas.InstanceProgram{{Name: p.link.Program, ID: uint32(one.program)}},
	})
	l.held = append(l.held, one)
	if o := p.link.Order; o != nil && !l.shared {
		if at := slices.Index(l.query(), one.program); o.Position != at+1 || o.Of != len(l.held) {
			l.t.Errorf("%s of %s: recorded as %+v, and is %d of %d", options, l, *o, at+1, len(l.held))
		}
	}
}

// placement is where add attaches.
func (l *line) placement(options map[string]string) *placement {
	all := map[string]string{}
	for _, o := range []map[string]string{l.options, options} {
		for name, value := range o {
			all[name] = value
		}
	}
	spec := l.spec
	h, info, err := findHook(l.hook)
	if err != nil {
		l.t.Fatal(err)
	}
	return &placement{hook: h, info: info, spec: &spec, link: schemas.InstanceLink{
		Program: "p", Hook: l.hook, Target: l.target, Options: all, Via: viaLink,
	}}
}

func (l *line) program() *ebpf.Program {
	l.t.Helper()
	spec := l.spec
	return must[*ebpf.Program](l.t)(tinyProgram(&spec, 1))
}

func idOf(prog *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := prog.Info()
	if err != nil {
		return 0, err
	}
	id, _ := info.ID()
	return id, nil
}

// drop takes the last one away again.
func (l *line) drop() {
	l.t.Helper()
	last := len(l.held) - 1
	// Closing alone leaves it there while somebody else looks at it.
	if err := joined.Errors(l.held[last].link.Detach(), l.held[last].link.Close(), l.held[last].prog.Close()); err != nil {
		l.t.Fatal(err)
	}
	l.held = l.held[:last]
	l.host.records = slices.DeleteFunc(l.host.records, func(r schemas.Instance) bool {
		return !slices.ContainsFunc(l.held, func(h held) bool { return h.name == r.Name })
	})
}

// String is the history.
func (l *line) String() string {
	var list []string
	for _, h := range l.held {
		list = append(list, fmt.Sprint(h.name, h.options))
	}
	return fmt.Sprint(list)
}

// names are those of the programs the kernel lists, in its order.
func (l *line) names() []string {
	var list []string
	for _, id := range l.query() {
		i := slices.IndexFunc(l.held, func(h held) bool { return h.program == id })
		if i < 0 {
			list = append(list, "?")
			continue
		}
		list = append(list, l.held[i].name)
	}
	return list
}

// insert is the rule as docs/hooks.md words it, on a list of names.
func insert(list []string, name string, wish map[string]string, priorities map[string]int) []string {
	at := func(anchor string) int { return slices.Index(list, anchor) }
	priority := 50
	switch {
	case wish["order"] == "first":
		priorities[name] = 0
		return slices.Insert(list, 0, name)
	case wish["order"] == "last":
		priorities[name] = 1 << 20
		return append(list, name)
	case wish["before"] != "":
		return slices.Insert(list, at(wish["before"]), name)
	case wish["after"] != "":
		return slices.Insert(list, at(wish["after"])+1, name)
	case wish["priority"] != "":
		priority, _ = strconv.Atoi(wish["priority"])
	}
	priorities[name] = priority
	for i, other := range list {
		if p, ok := priorities[other]; ok && p > priority {
			return slices.Insert(list, i, name)
		}
	}
	return append(list, name)
}

// wishes are all there are with the given others in place.
func wishes(others []string, hook string) []map[string]string {
	list := []map[string]string{nil, {"order": "first"}, {"order": "last"}}
	if hook != "cgroup_skb" {
		list = append(list, map[string]string{"priority": "10"}, map[string]string{"priority": "90"})
	}
	for _, o := range others {
		list = append(list, map[string]string{"before": o}, map[string]string{"after": o})
	}
	return list
}

// every tries all ways to add up to n more programs.
func (l *line) every(n int, want []string, priorities map[string]int) {
	if n == 0 || l.t.Failed() {
		return
	}
	for _, wish := range wishes(want, l.hook) {
		name := strconv.Itoa(len(l.held) + 1)
		known := map[string]int{}
		for k, v := range priorities {
			known[k] = v
		}
		now := insert(slices.Clone(want), name, wish, known)
		if l.hook == "cgroup_skb" {
			clear(known) // without priorities, what comes goes to the end
		}
		l.add(name, wish)
		if got := l.names(); !slices.Equal(got, now) {
			l.t.Fatalf("%s: the kernel runs %v, want %v", l, got, now)
		}
		l.every(n-1, now, known)
		l.drop()
	}
}

// some adds five programs, each in a way that dice choose.
func (l *line) some(dice *rand.Rand) {
	want, priorities := []string(nil), map[string]int{}
	for i := range 5 {
		all := wishes(want, l.hook)
		wish, name := all[dice.IntN(len(all))], strconv.Itoa(i+1)
		want = insert(want, name, wish, priorities)
		if l.hook == "cgroup_skb" {
			clear(priorities)
		}
		l.add(name, wish)
		if got := l.names(); !slices.Equal(got, want) {
			l.t.Fatalf("%s: the kernel runs %v, want %v", l, got, want)
		}
	}
	for range 5 {
		l.drop()
	}
}

// lines are the kinds of lists there are on this kernel.
func lines() map[string]func(t *testing.T) *line {
	return map[string]func(t *testing.T) *line{
		"tcx ingress": func(t *testing.T) *line {
			newBench(t)
			return tcLine(t, dev, "ingress")
		},
		"tcx egress": func(t *testing.T) *line {
			newBench(t)
			return tcLine(t, dev, "egress")
		},
		"netkit": func(t *testing.T) *line {
			b := newBench(t)
			b.needHook("netkit", objNetkit, "on_primary=netkit:"+dev, "on_peer=none")
			netkitPair(t)
			return &line{
				t: t, host: &host{}, hook: "netkit", target: kit, spec: ebpf.ProgramSpec{Type: ebpf.SchedCLS},
				options: map[string]string{"direction": "primary"},
				query:   queried(t, link.QueryOptions{Target: netlinkByName(t, kit).Attrs().Index, Attach: ebpf.AttachNetkitPrimary}),
			}
		},
		"cgroup": func(t *testing.T) *line {
			_, dir := ownCgroup(t)
			return cgroupLine(t, dir)
		},
	}
}

// tcLine is the list of tcx programs of an interface.
func tcLine(t *testing.T, iface, direction string) *line {
	t.Helper()
	index := netlinkByName(t, iface).Attrs().Index
	p := &placement{link: schemas.InstanceLink{Ifindex: uint32(index), Options: map[string]string{"direction": direction}}}
	if !haveTCX(p) {
		t.Skip("SKIP-REASON: needs a kernel with tcx (Linux 6.6)")
	}
	return &line{
		t: t, host: &host{}, hook: "tc", target: iface, spec: ebpf.ProgramSpec{Type: ebpf.SchedCLS},
		options: map[string]string{"direction": direction, "via": "tcx"},
		query:   queried(t, link.QueryOptions{Target: index, Attach: tcxDirection(p)}),
	}
}

// queried asks for a list.
func queried(t *testing.T, q link.QueryOptions) func() []ebpf.ProgramID {
	return func() []ebpf.ProgramID {
		t.Helper()
		list, err := queryPrograms(q)
		if err != nil {
			t.Fatal(err)
		}
		var ids []ebpf.ProgramID
		for _, p := range list.Programs {
			ids = append(ids, p.ID)
		}
		return ids
	}
}

// TestOrderEveryWay adds up to three programs in all ways, and five in some, and
// asks the kernel each time.
func TestOrderEveryWay(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for name, newLine := range lines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t)
			// Detaching from tcx waits for all processors, some milliseconds each time.
			depth, rounds := 2, 5
			if name == "tcx ingress" || name == "cgroup" {
				depth, rounds = 3, 20
			}
			l.every(depth, nil, map[string]int{})
			const seed = 6
			dice := rand.New(rand.NewPCG(seed, seed))
			for range rounds {
				l.some(dice)
			}
		})
	}
}

// TestRankOf reads what records say.
func TestRankOf(t *testing.T) {
	for _, tc := range []struct {
		options map[string]string
		rank    int
		ranked  bool
	}{
		{nil, rankDefault, true},
		{map[string]string{"via": "tcx"}, rankDefault, true},
		{map[string]string{"priority": "7"}, 7, true},
		{map[string]string{"priority": "0x10"}, 16, true},
		{map[string]string{inspect.OptionOrder: "first"}, rankFirst, true},
		{map[string]string{inspect.OptionOrder: "last"}, rankLast, true},
		{map[string]string{inspect.OptionBefore: "x"}, 0, false},
		{map[string]string{inspect.OptionAfter: "id:3"}, 0, false},
	} {
		if rank, ranked := rankOf(tc.options); rank != tc.rank || ranked != tc.ranked {
			t.Errorf("%v: %d, %v", tc.options, rank, ranked)
		}
	}
}

// TestOrderDefaults has what a person says of order replace all that the image
// says of it.
func TestOrderDefaults(t *testing.T) {
	image := schemas.Program{Name: "p", Hook: "tc", Options: map[string]string{"direction": "ingress", "priority": "20"}}
	for given, want := range map[string]string{
		"p=tc:eth0":               "p=tc:eth0,direction=ingress,priority=20",
		"p=tc:eth0,priority=5":    "p=tc:eth0,direction=ingress,priority=5",
		"p=tc:eth0,before=x":      "p=tc:eth0,before=x,direction=ingress",
		"p=tc:eth0,order=first":   "p=tc:eth0,direction=ingress,order=first",
		"p=tc:eth0,handle=7":      "p=tc:eth0,direction=ingress,handle=7,priority=20",
		"p=netkit:eth0,after=a/b": "p=netkit:eth0,after=a/b",
	} {
		a := attachments(t, given)[0]
		if got := withDefaults(a, image).String(); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
	if image.Options["priority"] != "20" {
		t.Error("the image's own options have changed")
	}
}

// TestOrderOtherBoot has a record of another boot with the ids of this one.
func TestOrderOtherBoot(t *testing.T) {
	newBench(t)
	l := tcLine(t, dev, "ingress")
	l.add("1", map[string]string{"priority": "60"})
	l.host.records[0].BootID = "another"
	l.add("2", map[string]string{"priority": "10"})
	if got := l.names(); !slices.Equal(got, []string{"1", "2"}) {
		t.Errorf("the kernel runs %v; ids of another boot mean other programs", got)
	}
	p := l.placement(map[string]string{"before": "1"})
	wantError(t, p.hook.prepare(t.Context(), l.host, p), ErrNoTarget, `instance "1" is not on tcx ingress`, "attached nowhere")
	// A record that an update is changing speaks of two versions.
	l.host.records[1].Update = &schemas.InstanceUpdate{Other: schemas.Instance{
		Links: l.host.records[0].Links, Programs: l.host.records[0].Programs,
	}}
	l.add("3", map[string]string{"priority": "50"})
	if got := l.names(); !slices.Equal(got, []string{"3", "1", "2"}) {
		t.Errorf("the kernel runs %v; want 3 before the other version of 2", got)
	}
	for range 3 {
		l.drop()
	}
}
