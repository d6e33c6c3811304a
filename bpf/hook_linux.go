// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// hookNone in an attachment loads a program and attaches it nowhere.
const hookNone = "none"

// Values of [schemas.InstanceLink.Via].
const (
	viaLink    = "link"
	viaNetlink = "netlink"
	viaMap     = "map"
	viaProcess = "process"
	viaOnce    = "once"
	// viaDispatcher is a component of an XDP dispatcher, whose links are pinned
	// where libxdp has them.
	viaDispatcher = "dispatcher"
)

// hook is one kind of place in the kernel where programs go. Its name, program
// types and options are a row of package inspect's table; what it does is an
// implementation in a file of its own.
type hook interface {
	// programType is given to programs whose section says no type.
	programType() ebpf.ProgramType
	// capability is what attaching needs beyond loading.
	capability() capability
	// networked says whether the target is a network interface.
	networked() bool
	// prepare checks target and options against this system, changes nothing,
	// and fills in what attach will use and the record will say.
	prepare(ctx context.Context, h *host, p *placement) error
	// attach puts prog in place. What it returns depends on p.link.Via, which
	// prepare may have changed: with [viaLink] the [link.Link] that holds it there;
	// with [viaProcess] what to close to take it away; else nil, and then it has
	// undone its own failures, and the hook is a [remover].
	attach(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error)
}

// What a hook may be besides.
type (
	// targeter is a hook that says what its target is.
	targeter interface {
		// target is a noun and an example; "" when it takes no target, or none
		// is a target too.
		target() (what, example string)
	}
	// typer is a hook for programs of several types, of which the options say the
	// one.
	typer interface {
		// programTypeOf is also in libbpf's spelling.
		programTypeOf(options map[string]string) (t ebpf.ProgramType, name string)
	}
	// prober is a hook of which the program type alone does not tell whether the
	// kernel can do it. It is asked before anything is loaded.
	prober interface {
		// probe is nil, or an [UnsupportedError] that says what is missing.
		probe() error
	}
	// swapper is a hook with attachments that are no links, in which one program
	// can be exchanged for another without an event that neither sees.
	swapper interface {
		// swap puts to where l says that from is, and changes nothing else of l. It
		// is called in the network namespace of l, if it has one, and has nothing
		// to do when to is there already. The error is fs.ErrNotExist when neither
		// is there.
		swap(ctx context.Context, m *Manager, l schemas.InstanceLink, from, to *ebpf.Program) error
	}
	// perfHolder is a hook whose links are perf events, which can be pinned since
	// Linux 5.15.
	perfHolder interface{ heldByPerf() }
	// sweeper is a remover whose attachments leave something behind when their
	// network namespace goes.
	sweeper interface {
		// sweep takes away what is left of all such.
		sweep(ctx context.Context, r *removal) error
	}
	// remover is a hook with attachments that are no links, which are found again
	// by what the record says. Both methods are called in the network namespace
	// of l, if it has one.
	remover interface {
		// remove takes the attachment away, and nothing that somebody else put
		// in its place; one that is not there is no error.
		remove(ctx context.Context, r *removal, l schemas.InstanceLink, prog schemas.InstanceProgram) error
		// gone says in a sentence what became of the attachment, "" when it is
		// there.
		gone(l schemas.InstanceLink, prog schemas.InstanceProgram) string
	}
)

// placement is the plan for one program: where it goes, and what is recorded
// about it.
type placement struct {
	hook hook
	// info is the hook's row of the table.
	info inspect.HookInfo
	// spec is the program in its object; nil where link.Program is a map, of hook
	// struct_ops.
	spec *ebpf.ProgramSpec
	// link is the record to be; Options in it are those asked for until prepare
	// and attach add what was chosen.
	link schemas.InstanceLink
	// replaces is the id of the program whose place this one takes in an update,
	// 0 when the place is new.
	replaces uint32
	// displaces is the id of an XDP program of others that is put away, 0 for none.
	displaces uint32
	// open is what prepare has opened for loading, closed when the run is done.
	open io.Closer
	// addsQdisc says that the interface had no clsact qdisc when prepare looked.
	addsQdisc bool
	// alone has the program loaded to be attached by itself, where the kernel does
	// not take it as a part of something; nil when there is no such way. What it
	// returns tells the person the reason.
	alone func() (tell func(reason error))
	// given says that the person named the place with `--attach`.
	given bool
}

// String is the placement as `--attach` spells it.
func (p *placement) String() string {
	return schemas.Attachment{Program: p.link.Program, Hook: p.link.Hook, Target: p.link.Target}.String()
}

// usage is an error of the person who wrote the attachment.
func (p *placement) usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrUsage, p, fmt.Sprintf(format, args...))
}

// option is the value of an option, "" when it is not given.
func (p *placement) option(name string) string { return p.link.Options[name] }

// choose records an option in effect.
func (p *placement) choose(name, value string) {
	if p.link.Options == nil {
		p.link.Options = map[string]string{}
	}
	p.link.Options[name] = value
}

// notice records a sentence for the person, and warns with it.
func (p *placement) notice(log *slog.Logger, format string, args ...any) {
	p.noticeAt(log.Warn, format, args...)
}

// noticeAt is notice that logs with a method of the logger.
func (p *placement) noticeAt(log func(msg string, args ...any), format string, args ...any) {
	sentence := fmt.Sprintf(format, args...)
	p.link.Notices = append(p.link.Notices, sentence)
	log(sentence, "program", p.link.Program)
}

// implementations are the hooks this version attaches to, by name. Each also is
// a row of [inspect.Hooks] with Delivered set.
func implementations() map[string]hook {
	known := map[string]hook{}
	for _, family := range []map[string]hook{networkHooks(), tracingHooks(), cgroupHooks(), socketHooks(), otherHooks()} {
		maps.Copy(known, family)
	}
	return known
}

// HookNames lists the hooks `--attach` takes, without "none".
func HookNames() []string {
	var names []string
	known := implementations()
	for _, info := range inspect.Hooks() {
		if known[info.Name] != nil {
			names = append(names, info.Name)
		}
	}
	return names
}

// findHook looks a hook up; the error names what exists.
func findHook(name string) (hook, inspect.HookInfo, error) {
	h := implementations()[name]
	for _, info := range inspect.Hooks() {
		if info.Name != name {
			continue
		}
		if h != nil {
			return h, info, nil
		}
		return nil, info, fmt.Errorf("%w: bpfimg does not attach to hook %q yet; it knows %s, and none to load without attaching",
			ErrUsage, name, strings.Join(HookNames(), ", "))
	}
	return nil, inspect.HookInfo{}, fmt.Errorf("%w: no hook %q; there are %s, and none to load without attaching",
		ErrUsage, name, strings.Join(HookNames(), ", "))
}

// checkOptions refuses options the hook does not have, and values they cannot
// take.
func checkOptions(p *placement) error {
	info := p.info
	for name, value := range p.link.Options {
		i := slices.IndexFunc(info.Options, func(o inspect.OptionInfo) bool { return o.Name == name })
		if i < 0 {
			return p.usage("hook %s has no option %q; %s", info.Name, name, optionNames(info))
		}
		if values := info.Options[i].Values; values != nil && !slices.Contains(values, value) {
			return p.usage("option %s is %q; it can be %s", name, value, strings.Join(values, ", "))
		}
	}
	return nil
}

func optionNames(info inspect.HookInfo) string {
	if len(info.Options) == 0 {
		return "it takes none"
	}
	names := make([]string, len(info.Options))
	for i, o := range info.Options {
		names[i] = o.Name
	}
	return "it has " + strings.Join(names, ", ")
}
