// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// Where several programs run at one place, the kernel keeps them in a list, and
// these options say where in it a new one goes. It says so once: nothing moves a
// program afterwards but attaching it anew.

// Ranks of programs of ours in such a list. Numbers are in between.
const (
	rankFirst = 0
	rankLast  = 1 << 16
	// rankDefault is the priority of a program that was given none, that of
	// libxdp too.
	rankDefault = 50
)

// wish is where in its list a program is to go.
type wish struct {
	// option is the one that was given, "" when none was; value is its value.
	option, value string
	// rank is for a program with a priority.
	rank int
}

// relative says whether the wish is one that only lists with anchors can fulfil.
func (w wish) relative() bool { return w.option != "" && w.option != inspect.OptionPriority }

// orderOptions exclude each other.
func orderOptions() []string {
	return []string{inspect.OptionOrder, inspect.OptionBefore, inspect.OptionAfter, inspect.OptionPriority}
}

// wishOf reads the options on order, and checks how they are written.
func wishOf(p *placement) (wish, error) {
	w := wish{rank: rankDefault}
	for _, name := range orderOptions() {
		value := p.option(name)
		if value == "" {
			continue
		}
		if w.option != "" {
			return w, p.usage("options %s and %s exclude each other: each says where among the others it runs", w.option, name)
		}
		w.option, w.value = name, value
	}
	switch w.option {
	case inspect.OptionPriority:
		n, err := optionNumber(p, inspect.OptionPriority, 16)
		w.rank = int(n)
		return w, err
	case inspect.OptionBefore, inspect.OptionAfter:
		return w, w.checkAnchor(p)
	}
	return w, nil
}

// checkAnchor checks how an anchor is written: id:NUMBER, INSTANCE, or
// INSTANCE/PROGRAM.
func (w wish) checkAnchor(p *placement) error {
	if id, ok := strings.CutPrefix(w.value, "id:"); ok {
		if n, err := strconv.ParseUint(id, 10, 32); err != nil || n == 0 {
			return p.usage("%s is %q; the id of a program is a number, as `bpftool prog` shows it", w.option, w.value)
		}
		return nil
	}
	instance, program, named := strings.Cut(w.value, "/")
	if !validName(instance) || (named && program == "") {
		return p.usage("%s is %q; it can be INSTANCE, INSTANCE/PROGRAM or id:NUMBER", w.option, w.value)
	}
	return nil
}

// rankOf is the rank of a program of ours by its recorded options. One that was
// put beside another has none.
func rankOf(options map[string]string) (rank int, ranked bool) {
	switch {
	case options[inspect.OptionBefore] != "" || options[inspect.OptionAfter] != "":
		return 0, false
	case options[inspect.OptionOrder] == inspect.OrderFirst:
		return rankFirst, true
	case options[inspect.OptionOrder] == inspect.OrderLast:
		return rankLast, true
	}
	n, err := strconv.ParseUint(options[inspect.OptionPriority], 0, 16)
	if err != nil {
		return rankDefault, true // attached before there were priorities
	}
	return int(n), true
}

// withoutOrder takes the options on order out of an image's defaults when the
// person says anything about it: a default must not exclude what they ask for.
func withoutOrder(defaults, given map[string]string) {
	if !slices.ContainsFunc(orderOptions(), func(name string) bool { return given[name] != "" }) {
		return
	}
	for _, name := range orderOptions() {
		delete(defaults, name)
	}
}

// spot is a place in a list: beside an entry or, without one, at an end.
type spot struct {
	beside *queued
	before bool
	// index is the new program's, from 0.
	index int
}

// anchor is the spot as lists with mprog take it (tcx, netkit).
func (s spot) anchor() link.Anchor {
	switch {
	case s.beside == nil && s.before:
		return link.Head()
	case s.beside == nil:
		return link.Tail()
	case s.beside.link != 0 && s.before:
		return link.BeforeLinkByID(link.ID(s.beside.link))
	case s.beside.link != 0:
		return link.AfterLinkByID(link.ID(s.beside.link))
	case s.before:
		return link.BeforeProgramByID(ebpf.ProgramID(s.beside.program))
	}
	return link.AfterProgramByID(ebpf.ProgramID(s.beside.program))
}

// find says where in q the program goes. By priority that is before the first
// program of ours with a higher number, and else at the end: programs of others
// keep their places among themselves and beside ours.
func (w wish) find(p *placement, q *queue) (spot, error) {
	end := spot{index: len(q.entries)}
	switch w.option {
	case inspect.OptionBefore, inspect.OptionAfter:
		i, err := w.anchorIn(p, q)
		if err != nil {
			return spot{}, err
		}
		if w.option == inspect.OptionBefore {
			return spot{beside: &q.entries[i], before: true, index: i}, nil
		}
		return spot{beside: &q.entries[i], index: i + 1}, nil
	case inspect.OptionOrder:
		if w.value == inspect.OrderFirst {
			return spot{before: true}, nil
		}
		return end, nil
	}
	if !p.info.HasOption(inspect.OptionPriority) {
		return end, nil
	}
	for i := range q.entries {
		e := &q.entries[i]
		if e.ours == nil {
			continue
		}
		if rank, ranked := rankOf(e.ours.link.Options); ranked && rank > w.rank {
			return spot{beside: e, before: true, index: i}, nil
		}
	}
	return end, nil
}

// anchorIn is the index of the entry that before= or after= names.
func (w wish) anchorIn(p *placement, q *queue) (int, error) {
	if id, ok := strings.CutPrefix(w.value, "id:"); ok {
		i := slices.IndexFunc(q.entries, func(e queued) bool { return strconv.FormatUint(uint64(e.program), 10) == id })
		if i < 0 {
			return 0, fmt.Errorf("%s: %w: %s=%s: no such program on %s; there %s", p, ErrNoTarget, w.option, w.value, q.what, q)
		}
		return i, nil
	}
	instance, program, _ := strings.Cut(w.value, "/")
	var found []int
	for i, e := range q.entries {
		if e.ours != nil && e.ours.instance == instance && (program == "" || e.ours.link.Program == program) {
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 0:
		return 0, w.missing(p, q, instance, program)
	case len(found) > 1:
		first := q.entries[found[0]].ours.link.Program
		return 0, p.usage("%s=%s: instance %q has several programs on %s: name one, as in %s=%s/%s",
			w.option, w.value, instance, q.what, w.option, instance, first)
	}
	return found[0], nil
}

// missing says why an instance is no anchor.
func (w wish) missing(p *placement, q *queue, instance, program string) error {
	if !slices.Contains(q.instances, instance) {
		return fmt.Errorf("%s: %s=%s: %w; `bpfimg ps` lists those there are, and a program that bpfimg did not attach is id:NUMBER",
			p, w.option, w.value, noInstance(instance))
	}
	var elsewhere []string
	for _, o := range q.owned {
		if o.instance == instance {
			elsewhere = append(elsewhere, fmt.Sprintf("%q at %s", o.link.Program, spell(*o.link)))
		}
	}
	has := "it is attached nowhere"
	if len(elsewhere) > 0 {
		has = "it has " + strings.Join(elsewhere, ", ")
	}
	name := fmt.Sprintf("instance %q", instance)
	if program != "" {
		name = fmt.Sprintf("program %q of instance %q", program, instance)
	}
	return fmt.Errorf("%s: %w: %s=%s: %s is not on %s: %s", p, ErrNoTarget, w.option, w.value, name, q.what, has)
}

// recordOrder writes down where the program went.
func recordOrder(p *placement, s spot, q *queue) {
	p.link.Order = &schemas.InstanceOrder{Position: s.index + 1, Of: len(q.entries) + 1}
}

// prepareRanked finds the spot of a program in a list in which ours are ranked,
// and writes down the priority of one that was given no place.
func (h *host) prepareRanked(ctx context.Context, p *placement, l lineup) error {
	w, err := wishOf(p)
	if err != nil {
		return err
	}
	if w.option == "" {
		p.choose(inspect.OptionPriority, strconv.Itoa(rankDefault))
	}
	return h.checkOrder(ctx, p, l)
}

// mprogError puts the kernel's answer into words (bpf_mprog_attach,
// kernel/bpf/mprog.c), except for ESTALE, which is not for people.
func mprogError(p *placement, feature, since string, err error) error {
	switch {
	case err == nil, errors.Is(err, unix.ESTALE):
		return err
	case errors.Is(err, unix.ERANGE):
		return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf("there are as many programs as the kernel takes: %w", err)}
	}
	return attachError(p, feature, since, err)
}
