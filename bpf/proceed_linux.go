// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// A program of traffic control says by its return code whether the next one runs:
// after TC_ACT_UNSPEC it does (tcx_run in net/core/dev.c, cls_bpf_classify in
// net/sched/cls_bpf.c), and most that were written to be alone return TC_ACT_OK,
// which ends the chain. With proceed-on such a program is loaded behind an entry
// that calls it and returns TC_ACT_UNSPEC in the place of the codes of the list:
//
//	PROGRAM__proceed:
//	    r6 = ctx
//	    call PROGRAM
//	    r0 ^= skb->len twice
//	    if r0 is one of the list goto proceed
//	    exit
//	proceed:
//	    r0 = TC_ACT_UNSPEC
//	    exit
//
// The two steps between change nothing, and hide from the verifier what r0 is: it
// takes a tail call for one that comes back with what stands behind it, and before
// Linux 6.18 removes comparisons with any other code as dead.
//
// The entry calls no helper and reads one field of the context; the author's code behind it is
// unchanged, a function of the program now. A program it tail-calls returns to the
// entry too, so its code counts as well (on x86-64 since Linux 5.10, which refuses
// tail calls in functions before).

// tcActions are the return codes of programs of traffic control by their names in
// proceed-on, TC_ACT_UNSPEC (-1) to TC_ACT_TRAP (8) of <linux/pkt_cls.h>.
func tcActions() []string {
	return []string{"unspec", "ok", "reclassify", "shot", "pipe", "stolen", "queued", "repeat", "redirect", "trap"}
}

// tcUnspec is TC_ACT_UNSPEC, after which the next program runs.
const tcUnspec = -1

// parseTCActions reads the value of proceed-on: the codes without TC_ACT_UNSPEC,
// after which the kernel goes on anyway, in their order.
func parseTCActions(list string) ([]int32, error) {
	var codes []int32
	for _, name := range strings.Split(list, ",") {
		i := slices.Index(tcActions(), name)
		if i < 0 {
			return nil, fmt.Errorf("proceed-on has no return code %q; there are %s", name, strings.Join(tcActions(), ", "))
		}
		code := int32(i) + tcUnspec
		if code != tcUnspec && !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	return codes, nil
}

// checkProceedOn refuses what is no list of return codes, and records the list in
// one spelling.
func checkProceedOn(p *placement) error {
	list := p.option(schemas.OptionProceedOn)
	if list == "" {
		return nil
	}
	codes, err := parseTCActions(list)
	if err != nil {
		return p.usage("%v", err)
	}
	names := []string{}
	for _, code := range codes {
		names = append(names, tcActions()[code-tcUnspec])
	}
	if len(names) == 0 {
		names = tcActions()[:1]
	}
	p.choose(schemas.OptionProceedOn, strings.Join(names, ","))
	return nil
}

// placeOptions are the options that say where an attachment of hook is. proceed-on
// of tc is about the loaded program, not about its place.
func placeOptions(hook string, options map[string]string) map[string]string {
	if hook != hookTC || options[schemas.OptionProceedOn] == "" {
		return options
	}
	place := maps.Clone(options)
	delete(place, schemas.OptionProceedOn)
	return place
}

// hookTC is the name of [tcHook].
const hookTC = "tc"

// addEntries puts the entry before every program of o whose place has proceed-on.
// It returns those programs as they were, by name.
func (o *object) addEntries(placements []*placement) (map[string]*ebpf.ProgramSpec, error) {
	bare := map[string]*ebpf.ProgramSpec{}
	for _, pl := range placements {
		if pl.link.Hook != hookTC || pl.spec == nil || o.spec.Programs[pl.link.Program] != pl.spec {
			continue
		}
		codes, err := parseTCActions(pl.option(schemas.OptionProceedOn))
		if pl.option(schemas.OptionProceedOn) == "" || (err == nil && len(codes) == 0) {
			continue
		}
		if err != nil {
			return nil, pl.usage("%v", err)
		}
		bare[pl.link.Program] = pl.spec.Copy()
		if pl.spec.Instructions, err = withEntry(pl.spec.Instructions, codes); err != nil {
			return nil, fmt.Errorf("%s: %w", pl, err)
		}
	}
	return bare, nil
}

// removeEntries undoes addEntries.
func (o *object) removeEntries(bare map[string]*ebpf.ProgramSpec) {
	for name, spec := range bare {
		o.spec.Programs[name].Instructions = spec.Instructions
	}
}

// withEntry is the program insns behind an entry that goes on after the codes.
func withEntry(insns asm.Instructions, codes []int32) (asm.Instructions, error) {
	if len(insns) == 0 || insns.Name() == "" {
		return nil, errors.New("the program has no function to call")
	}
	// Names of jump targets never get to the kernel, and C knows no such ones.
	const proceed = "proceed:"
	name := entryName(insns)
	main := insns[0]
	enter := asm.Mov.Reg(asm.R6, asm.R1).WithSymbol(name)
	// Where a program has line information the kernel wants it for every function.
	if line := main.Source(); line != nil {
		enter = enter.WithSource(line)
	}
	body := slices.Clone(insns)
	if fn := btf.FuncMetadata(&main); fn != nil {
		entry, inner := *fn, *fn
		entry.Name = name
		enter = btf.WithFuncMetadata(enter, &entry)
		// Static functions are verified with what their caller knows, here that the
		// argument is the context, and global ones by their declaration alone, which
		// may be void *.
		inner.Linkage = btf.StaticFunc
		body[0] = btf.WithFuncMetadata(main, &inner)
	}
	out := asm.Instructions{
		enter, asm.Call.Label(main.Symbol()),
		asm.LoadMem(asm.R1, asm.R6, 0, asm.Word), // struct __sk_buff starts with len
		asm.Xor.Reg32(asm.R0, asm.R1), asm.Xor.Reg32(asm.R0, asm.R1),
	}
	for _, code := range codes {
		// The kernel takes the lower half of r0 for the code.
		out = append(out, asm.JEq.Imm32(asm.R0, code, proceed))
	}
	out = append(out, asm.Return(), asm.Mov.Imm(asm.R0, tcUnspec).WithSymbol(proceed), asm.Return())
	return append(out, body...), nil
}

// entryName starts with the program's own name, which tools cut short and then
// take from the first function, and is that of no other function.
func entryName(insns asm.Instructions) string {
	const longest = 100 // of the 127 bytes of KSYM_NAME_LEN before Linux 6.1
	taken := map[string]bool{}
	for i := range insns {
		taken[insns[i].Symbol()] = true
	}
	name := insns.Name()
	for name = name[:min(len(name), longest)] + "__proceed"; taken[name]; {
		name += "_"
	}
	return name
}

// entryError says of a program that was refused behind its entry, and that the
// kernel takes alone, that the entry is the reason. err stays what it is when it
// is about something else.
func (o *object) entryError(err error, bare map[string]*ebpf.ProgramSpec, opts ebpf.CollectionOptions) error {
	for name := range bare {
		if !strings.HasPrefix(err.Error(), "program "+name+": ") {
			continue
		}
		alone := o.spec.Copy()
		alone.Programs[name] = bare[name]
		coll, aloneErr := ebpf.NewCollectionWithOptions(alone, opts)
		if aloneErr != nil {
			break // not the entry, or not only
		}
		coll.Close()
		kernel := &KernelError{}
		if !errors.As(o.loadError(err), &kernel) {
			break
		}
		kernel.Err = fmt.Errorf("the kernel takes it alone, and not behind the entry that proceed-on puts before it "+
			"(leave proceed-on out, or have the program return TC_ACT_UNSPEC itself): %w", kernel.Err)
		return kernel
	}
	return o.loadError(err)
}
