// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// plan says what a run will load and where every program goes. Making one
// touches nothing.
type plan struct {
	objects []*object
	// placements in load order; programs that go nowhere have none.
	placements []*placement
	// types of the kernel that are used in the place of its own; nil for those.
	types *btf.Spec
	// verified says what the policy allows.
	verified *verify.Verified
}

// object is one parsed ELF file.
type object struct {
	file string
	desc schemas.Object
	spec *ebpf.CollectionSpec
	// programs are the names of those that can be loaded, sorted.
	programs []string
	// borrowed are maps of others to be used in the place of the object's own.
	borrowed map[string]borrowed
	// weak are the names it can do without.
	weak map[string]bool
	// keep are maps to use instead of making new ones, by name in the object.
	keep map[string]*ebpf.Map
}

// newPlan parses the verified objects and decides where each program goes:
// by --attach, else by --iface (for the one network program), else by the
// image's defaults, else by its section.
func newPlan(v *verify.Verified, opts RunOptions) (*plan, error) {
	p, err := parsePlan(v)
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := p.configure(opts); err != nil {
		return nil, err
	}
	if err := p.place(opts); err != nil {
		return nil, err
	}
	return p, p.allowed()
}

// parsePlan parses the verified objects.
func parsePlan(v *verify.Verified) (*plan, error) {
	p := &plan{verified: v}
	described := v.Description().Objects
	for _, o := range v.Objects() {
		i := slices.IndexFunc(described, func(d schemas.Object) bool { return d.File == o.File })
		if i < 0 {
			return nil, fmt.Errorf("object %q has no description", o.File)
		}
		spec, err := inspect.Load(o.Bytes)
		if err != nil {
			return nil, fmt.Errorf("object %q: %w", o.File, err)
		}
		weak, err := inspect.WeakSymbols(o.Bytes)
		if err != nil {
			return nil, fmt.Errorf("object %q: %w", o.File, err)
		}
		desc := described[i]
		desc.Programs = slices.Clone(desc.Programs) // types are filled in there
		p.objects = append(p.objects, &object{file: o.File, desc: desc, spec: spec, weak: weak})
	}
	return p, nil
}

// check refuses what cannot run on this machine whatever the attachments are.
func (p *plan) check() error {
	seen := map[string]string{}
	for _, o := range p.objects {
		if bo := o.spec.ByteOrder; bo != nil && inspect.Endianness(bo) != inspect.Endianness(binary.NativeEndian) {
			return fmt.Errorf("object %q is %s-endian and this machine is %s-endian: an image for this platform is needed",
				o.file, inspect.Endianness(bo), inspect.Endianness(binary.NativeEndian))
		}
		for name := range o.spec.Programs {
			if other, dup := seen[name]; dup {
				return fmt.Errorf("objects %q and %q both have a program %q: names must be unique in an image to be attached by name",
					other, o.file, name)
			}
			seen[name] = o.file
		}
	}
	return nil
}

// place resolves all attachments.
func (p *plan) place(opts RunOptions) error {
	given, err := byProgram(opts.Attach, append(p.programNames(), p.structOpsMaps()...))
	if err != nil {
		return err
	}
	var unplaced []string
	for _, o := range p.objects {
		tails := o.tailPrograms()
		for i := range o.desc.Programs {
			d := &o.desc.Programs[i]
			spec := o.spec.Programs[d.Name]
			if spec == nil {
				continue
			}
			where, asked := given[d.Name]
			if kept, err := o.keepStructOps(d.Name, asked); kept || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			if tails[d.Name] != "" && !asked {
				o.programs = append(o.programs, d.Name)
				continue
			}
			where = withDefaults(where, *d)
			if where.Hook == "" || (!asked && implementations()[where.Hook] == nil) {
				unplaced = append(unplaced, unplacedName(*d))
				continue
			}
			if err := p.placeProgram(spec, d, where, asked); err != nil {
				return err
			}
			if spec.Type != ebpf.UnspecifiedProgram {
				o.programs = append(o.programs, d.Name)
			}
		}
		o.typeTails(tails)
	}
	if len(unplaced) > 0 {
		return fmt.Errorf("%w: not known where to attach %s: give --attach NAME=HOOK:TARGET (hooks: %s), or NAME=none to load without attaching",
			ErrUsage, strings.Join(unplaced, ", "), strings.Join(HookNames(), ", "))
	}
	if err := p.placeStructOps(given); err != nil {
		return err
	}
	return p.takeIface(opts.Iface)
}

// placeProgram plans one program whose hook is known.
func (p *plan) placeProgram(spec *ebpf.ProgramSpec, d *schemas.Program, where schemas.Attachment, asked bool) error {
	if where.Hook == hookNone {
		return nil
	}
	pl, err := newPlacement(spec, d, where)
	if err != nil {
		return err
	}
	pl.given, pl.link.Asked = asked, asked
	p.placements = append(p.placements, pl)
	return nil
}

func unplacedName(d schemas.Program) string {
	if d.Hook != "" {
		return fmt.Sprintf("program %q (hook %s, which bpfimg does not attach to yet)", d.Name, d.Hook)
	}
	return fmt.Sprintf("program %q (section %q)", d.Name, d.Section)
}

// programNames of all objects, sorted.
func (p *plan) programNames() []string {
	var names []string
	for _, o := range p.objects {
		names = slices.AppendSeq(names, maps.Keys(o.spec.Programs))
	}
	slices.Sort(names)
	return names
}

// byProgram indexes the attachments; the error names the programs there are.
func byProgram(list []schemas.Attachment, programs []string) (map[string]schemas.Attachment, error) {
	out := make(map[string]schemas.Attachment, len(list))
	for _, a := range list {
		if !slices.Contains(programs, a.Program) {
			return nil, fmt.Errorf("%w: the image has no program %q; it has %s", ErrUsage, a.Program, quoted(programs))
		}
		if _, dup := out[a.Program]; dup {
			return nil, fmt.Errorf("%w: program %q is given two places; one instance attaches a program once", ErrUsage, a.Program)
		}
		if a.Hook == hookNone && (a.Target != "" || len(a.Options) > 0) {
			return nil, fmt.Errorf("%w: %s: none takes no target and no options", ErrUsage, a)
		}
		out[a.Program] = a
	}
	return out, nil
}

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(out, ", ")
}

// withDefaults completes what the person gave with what the image says, as far
// as both mean the same hook.
func withDefaults(a schemas.Attachment, d schemas.Program) schemas.Attachment {
	a.Program = d.Name
	if a.Hook == "" {
		a.Hook = d.Hook
	}
	if a.Hook != d.Hook {
		return a
	}
	if a.Target == "" {
		a.Target = d.Target
	}
	options := maps.Clone(d.Options)
	if options == nil {
		options = map[string]string{}
	}
	withoutOrder(options, a.Options)
	maps.Copy(options, a.Options)
	a.Options = options
	return a
}

// newPlacement checks hook, program type and options. The target is checked by
// the hook, later. A program without a type gets the hook's.
func newPlacement(spec *ebpf.ProgramSpec, d *schemas.Program, a schemas.Attachment) (*placement, error) {
	h, info, err := findHook(a.Hook)
	if err != nil {
		return nil, fmt.Errorf("program %q: %w", d.Name, err)
	}
	p := &placement{hook: h, info: info, spec: spec, link: schemas.InstanceLink{
		Program: d.Name, Hook: a.Hook, Target: a.Target, Options: maps.Clone(a.Options), Via: viaLink,
	}}
	if spec.Type == ebpf.UnspecifiedProgram {
		spec.Type, d.Type = h.programType(), info.Programs[0]
		if t, ok := h.(typer); ok {
			spec.Type, d.Type = t.programTypeOf(a.Options)
		}
	} else if !slices.Contains(info.Programs, d.Type) {
		return nil, p.usage("the program is of type %s, and that hook takes %s", d.Type, strings.Join(info.Programs, ", "))
	}
	return p, checkOptions(p)
}

// takeIface gives --iface to the one network program that has no --attach, and
// checks that every program has a target then.
func (p *plan) takeIface(iface string) error {
	if iface != "" {
		var open []string
		var taker *placement
		for _, pl := range p.placements {
			if pl.hook.networked() && !pl.given {
				taker = pl
				open = append(open, pl.link.Program)
			}
		}
		if len(open) != 1 {
			return ifaceError(iface, open)
		}
		taker.link.Target, taker.link.Asked = iface, true
	}
	for _, pl := range p.placements {
		if pl.link.Target != "" {
			continue
		}
		what, example := targetOf(pl.hook)
		if what == "" {
			continue
		}
		return pl.usage("needs %s: --attach %s=%s:%s", what, pl.link.Program, pl.link.Hook, example)
	}
	return nil
}

// targetOf says what is missing where an attachment has no target, "" when
// nothing is.
func targetOf(h hook) (what, example string) {
	if t, ok := h.(targeter); ok {
		return t.target()
	}
	if h.networked() {
		return "an interface", "INTERFACE"
	}
	return "a target", "TARGET"
}

func ifaceError(iface string, open []string) error {
	if len(open) == 0 {
		return fmt.Errorf("%w: --iface %s is for the one network program of an image, and no program here waits for an interface", ErrUsage, iface)
	}
	return fmt.Errorf("%w: --iface %s is for the one network program of an image, and there are %s: give --attach for each",
		ErrUsage, iface, quoted(open))
}

// close closes what hooks have opened for loading.
func (p *plan) close() error {
	var errs []error
	for _, pl := range p.placements {
		if pl.open != nil {
			errs = append(errs, pl.open.Close())
			pl.open = nil
		}
	}
	return joined.Errors(errs...)
}
