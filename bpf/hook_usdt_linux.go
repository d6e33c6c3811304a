// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/probes"
)

// usdtHook attaches to a static probe in a program or library. A probe that is
// in several places of its file gets one uprobe.multi link for them all. The
// target is BINARY:PROVIDER:NAME, the options are those of [uprobeHook].
type usdtHook struct{}

const usdtForm = "BINARY:PROVIDER:NAME"

func (usdtHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (usdtHook) capability() capability        { return unix.CAP_PERFMON }
func (usdtHook) networked() bool               { return false }
func (usdtHook) heldByPerf()                   {}
func (usdtHook) probe() error                  { return uprobeHook{}.probe() }

func (usdtHook) target() (what, example string) { return "a static probe", usdtForm }

// staticProbe is where in a file a probe is.
type staticProbe struct {
	offsets, semaphores []uint64
	// args of each place; nil when the program does not read them.
	args [][]probes.Arg
}

// prepare looks the probe up, and has the program loaded for as many places as
// it has.
func (usdtHook) prepare(_ context.Context, h *host, p *placement) error {
	var found *staticProbe
	err := inTarget(p, usdtForm, func(b *userBinary, where string, _ int) (err error) {
		found, err = b.staticProbe(p, where)
		return err
	})
	if err != nil {
		return err
	}
	if found.args != nil && !havePerfLinks() {
		return fmt.Errorf("%s: %w", p, unsupported("arguments of static probes (BPF cookies)", "5.15"))
	}
	p.spec.AttachType = ebpf.AttachNone
	if len(found.offsets) == 1 {
		return nil
	}
	if features.HaveBPFLinkUprobeMulti() == nil {
		p.spec.AttachType = ebpf.AttachTraceUprobeMulti
		return nil
	}
	p.link.Via = viaProcess
	p.notice(h.log, "the probe is in %d places of the file, which one link can hold since Linux 6.6 (uprobe.multi), and this is %s",
		len(found.offsets), kernelRelease())
	return nil
}

func (usdtHook) attach(_ context.Context, h *host, p *placement, prog *ebpf.Program) (held io.Closer, err error) {
	err = inTarget(p, usdtForm, func(b *userBinary, where string, pid int) (err error) {
		held, err = attachStatic(h, p, prog, b, where, pid)
		return err
	})
	return held, err
}

// attachStatic attaches to the probe that where names in the open file.
func attachStatic(h *host, p *placement, prog *ebpf.Program, b *userBinary, where string, pid int) (io.Closer, error) {
	found, err := b.staticProbe(p, where)
	if err != nil {
		return nil, err
	}
	multi := p.spec.AttachType == ebpf.AttachTraceUprobeMulti
	if !multi && p.link.Via == viaLink && len(found.offsets) > 1 {
		return nil, fmt.Errorf("attaching %s: %q has changed meanwhile", p, b.name)
	}
	opts := &link.UprobeMultiOptions{Addresses: found.offsets, PID: uint32(pid)}
	if slices.Max(found.semaphores) > 0 {
		opts.RefCtrOffsets = found.semaphores
	}
	if found.args != nil {
		if opts.Cookies, err = h.giveSpecs(p, prog, found.args); err != nil {
			return nil, fmt.Errorf("attaching %s: %w", p, err)
		}
	}
	if multi {
		held, err := uprobeMultiHook{}.link(b.path, prog, opts)
		if err != nil {
			return nil, uprobeError(p, err)
		}
		return held, nil
	}
	return oneByOne(p, b, prog, opts)
}

// closers is several things to close as one.
type closers []io.Closer

// Close closes all of them.
func (c closers) Close() error { return closeAll(c) }

// oneByOne attaches to each place by a perf event of its own. A single one is
// returned as the link it is.
func oneByOne(p *placement, b *userBinary, prog *ebpf.Program, opts *link.UprobeMultiOptions) (io.Closer, error) {
	file, err := link.OpenExecutable(b.path)
	if err != nil {
		return nil, fmt.Errorf("attaching %s: %w", p, err)
	}
	var held closers
	for i, address := range opts.Addresses {
		one := &link.UprobeOptions{Address: address, PID: int(opts.PID)}
		if opts.RefCtrOffsets != nil {
			one.RefCtrOffset = opts.RefCtrOffsets[i]
		}
		if opts.Cookies != nil {
			one.Cookie = opts.Cookies[i]
		}
		l, err := file.Uprobe("", prog, one)
		if err != nil {
			return nil, joined.Errors(uprobeError(p, err), held.Close())
		}
		held = append(held, l)
	}
	if len(held) == 1 {
		return held[0], nil
	}
	return held, nil
}

// maxPlaces is in how many places of a file a probe may be.
const maxPlaces = 4096

// staticProbe finds PROVIDER:NAME in the file.
func (b *userBinary) staticProbe(p *placement, where string) (*staticProbe, error) {
	provider, name, ok := strings.Cut(where, ":")
	if !ok || provider == "" || name == "" {
		return nil, p.usage("the target is %s", usdtForm)
	}
	list, err := b.Probes()
	if err != nil {
		return nil, fmt.Errorf("%s: reading the static probes of %q: %w", p, b.name, err)
	}
	found, wantArgs := &staticProbe{}, usesMap(p.spec, probes.SpecsMap)
	for _, s := range list {
		if s.Provider != provider || s.Name != name {
			continue
		}
		offset, semaphore, err := b.Place(s)
		if err == nil && wantArgs {
			var args []probes.Arg
			args, err = probes.ParseArgs(b.Machine, s.Args)
			found.args = append(found.args, args)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: in %q: %w", p, b.name, err)
		}
		if !slices.Contains(found.offsets, offset) {
			found.offsets, found.semaphores = append(found.offsets, offset), append(found.semaphores, semaphore)
		} else if wantArgs { // of the same place twice
			found.args = found.args[:len(found.args)-1]
		}
		if len(found.offsets) > maxPlaces {
			return nil, fmt.Errorf("%s: in %q: %w: the probe is in more than %d places", p, b.name, probes.ErrTooLarge, maxPlaces)
		}
	}
	if len(found.offsets) == 0 {
		return nil, fmt.Errorf("%s: %w: %q has no static probe %q; it has %s", p, ErrNoTarget, b.name, where, probeNames(list))
	}
	return found, nil
}

// probeNames lists up to a screenful of what exists.
func probeNames(list []probes.Probe) string {
	const most = 20
	var names []string
	for _, s := range list {
		if name := fmt.Sprintf("%q", s.Provider+":"+s.Name); !slices.Contains(names, name) {
			names = append(names, name)
		}
		if len(names) > most {
			names[most] = "…"
			break
		}
	}
	if names == nil {
		return "none at all"
	}
	return strings.Join(names, ", ")
}

// errSpecs: the object's part of libbpf's USDT support is not as it should be.
var errSpecs = errors.New("map " + probes.SpecsMap + " of the object")
