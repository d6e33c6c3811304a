// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// sockmapHook attaches to a map of sockets of the same image: the program then
// sees what the sockets in it receive (sk_skb) or send (sk_msg). Since Linux 6.10
// that is a link; before, the map holds the program.
//
// Option event, of sk_skb only: "stream_parser", "stream_verdict" or "verdict",
// required unless the section says it.
type sockmapHook struct{ program ebpf.ProgramType }

func (s sockmapHook) programType() ebpf.ProgramType { return s.program }
func (sockmapHook) capability() capability          { return unix.CAP_NET_ADMIN }
func (sockmapHook) networked() bool                 { return false }
func (sockmapHook) target() (what, example string)  { return "a map of sockets of the image", "MAP" }

// prepare settles event and map, and asks the kernel how it holds such programs.
func (s sockmapHook) prepare(_ context.Context, h *host, p *placement) error {
	at, err := s.event(p)
	if err != nil {
		return err
	}
	p.spec.AttachType = at
	if err := checkSockmap(h, p); err != nil {
		return err
	}
	linked, err := probeSockmap(s.program, at)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	p.link.Map = p.link.Target
	if !linked {
		p.link.Via = viaMap
	}
	return nil
}

// sockmapEvents are the values of option event.
func sockmapEvents() map[string]ebpf.AttachType {
	return map[string]ebpf.AttachType{
		"stream_parser":  ebpf.AttachSkSKBStreamParser,
		"stream_verdict": ebpf.AttachSkSKBStreamVerdict,
		"verdict":        ebpf.AttachSkSKBVerdict,
	}
}

// event is the attach type, and records an option that says the same.
func (s sockmapHook) event(p *placement) (ebpf.AttachType, error) {
	if s.program == ebpf.SkMsg {
		return ebpf.AttachSkMsgVerdict, nil
	}
	known := sockmapEvents()
	if at, ok := known[p.option(inspect.OptionEvent)]; ok {
		return at, nil
	}
	for name, at := range known {
		if at == p.spec.AttachType {
			p.choose(inspect.OptionEvent, name)
			return at, nil
		}
	}
	return 0, p.usage("section %q does not say which event: --attach %s,event=stream_verdict (or stream_parser, or verdict)", p.spec.SectionName, p)
}

// checkSockmap checks that the target is a map of sockets of the image.
func checkSockmap(h *host, p *placement) error {
	isSockmap := func(m *ebpf.MapSpec) bool { return m != nil && (m.Type == ebpf.SockMap || m.Type == ebpf.SockHash) }
	if isSockmap(h.plan.mapSpec(p.link.Target)) {
		return nil
	}
	var fit []string
	for _, name := range h.plan.mapNames() {
		if isSockmap(h.plan.mapSpec(name)) {
			fit = append(fit, name)
		}
	}
	if len(fit) == 0 {
		return p.usage("the image has no map of sockets (sockmap or sockhash)")
	}
	return p.usage("the image has no map of sockets %q; it has %s", p.link.Target, quoted(fit))
}

// sockmapPlace is what one program of a map takes up: attaching a second one
// there would silently replace it.
type sockmapPlace struct {
	mapID uint32
	at    ebpf.AttachType
}

func (s sockmapHook) attach(_ context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	target := h.objs.mapNamed(p.link.Map)
	if target == nil {
		return nil, p.usage("map %q was not created", p.link.Map)
	}
	p.link.MapID = target.ID
	at := p.spec.AttachType
	if p.link.Via == viaLink {
		l, err := link.AttachRawLink(link.RawLinkOptions{Target: target.m.FD(), Program: prog, Attach: at})
		if err != nil {
			return nil, sockmapError(p, err)
		}
		return l, nil
	}
	if err := h.takeSockmap(p, sockmapPlace{target.ID, at}, target.m); err != nil {
		return nil, err
	}
	err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: target.m.FD(), Program: prog, Attach: at})
	if err != nil {
		return nil, sockmapError(p, err)
	}
	return nil, nil // held by the map
}

// takeSockmap refuses a place that has a program. Kernels before 5.17 do not tell
// which programs a map has; of those, bpfimg knows its own.
func (h *host) takeSockmap(p *placement, place sockmapPlace, m *ebpf.Map) error {
	if other, taken := h.sockmaps[place]; taken {
		return sockmapError(p, fmt.Errorf("program %q is there: %w", other, unix.EBUSY))
	}
	if q, err := link.QueryPrograms(link.QueryOptions{Target: m.FD(), Attach: place.at}); err == nil && len(q.Programs) > 0 {
		return sockmapError(p, fmt.Errorf("%s is there: %w", h.owner(uint32(q.Programs[0].ID)), unix.EBUSY))
	}
	if h.sockmaps == nil {
		h.sockmaps = map[sockmapPlace]string{}
	}
	h.sockmaps[place] = p.link.Program
	return nil
}

// sockmapError puts the kernel's answer into words.
func sockmapError(p *placement, err error) error {
	if errors.Is(err, unix.EBUSY) {
		return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf(
			"map %q has another program for this event, or for one that excludes it (verdict and stream_verdict): %w", p.link.Map, err)}
	}
	return attachError(p, "programs on maps of sockets", "", err)
}

// remove detaches the program from the map, unless another has taken its place.
// What sockets already in the map do about it, see [removal.sockets].
func (s sockmapHook) remove(_ context.Context, r *removal, l schemas.InstanceLink, prog schemas.InstanceProgram) error {
	recorded := schemas.InstanceMap{Name: l.Map, ID: l.MapID}
	for _, m := range r.rec.Maps {
		// A run that was killed has recorded the map and not yet the attachment.
		if m.ID == l.MapID || (l.MapID == 0 && m.Name == l.Map) {
			recorded = m
		}
	}
	err := s.detach(l, recorded, prog)
	// Without map or program there is no attachment (ErrNotExist is ENOENT), and
	// with another program in place it is not ours (ENOENT from the kernel).
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("detaching program %q from map %q: %w", l.Program, l.Map, err)
	}
	return nil
}

func (s sockmapHook) detach(l schemas.InstanceLink, recorded schemas.InstanceMap, prog schemas.InstanceProgram) error {
	m, err := openExactMap(recorded)
	if err != nil {
		return err
	}
	program, err := openExactProgram(prog)
	if err != nil {
		return joined.Errors(err, m.Close())
	}
	err = link.RawDetachProgram(link.RawDetachProgramOptions{Target: m.FD(), Program: program, Attach: s.attached(l)})
	return joined.Errors(err, program.Close(), m.Close())
}

// attached is the attach type the record means.
func (s sockmapHook) attached(l schemas.InstanceLink) ebpf.AttachType {
	if s.program == ebpf.SkMsg {
		return ebpf.AttachSkMsgVerdict
	}
	return sockmapEvents()[l.Options[inspect.OptionEvent]]
}

// gone asks the map which program it has, where the kernel tells (Linux 5.17).
func (s sockmapHook) gone(l schemas.InstanceLink, prog schemas.InstanceProgram) string {
	m, err := ebpf.NewMapFromID(ebpf.MapID(l.MapID))
	if err != nil {
		return "" // not attached yet; or the map is gone, which is said of the map
	}
	defer m.Close()
	q, err := link.QueryPrograms(link.QueryOptions{Target: m.FD(), Attach: s.attached(l)})
	if err != nil {
		return ""
	}
	if !slices.ContainsFunc(q.Programs, func(p link.AttachedProgram) bool { return uint32(p.ID) == prog.ID }) {
		return fmt.Sprintf("program %q is not attached to map %q any more: somebody detached or replaced it", l.Program, l.Map)
	}
	return ""
}

// probeSockmap asks the kernel whether it holds such a program on a map, and
// whether by a link (Linux 6.10): with a map and a program that do nothing.
func probeSockmap(program ebpf.ProgramType, at ebpf.AttachType) (linked bool, err error) {
	if err := features.HaveProgramType(program); err != nil {
		return false, err
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return false, fmt.Errorf("asking the kernel about maps of sockets: %w", err)
	}
	defer m.Close()
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: program, AttachType: at}, 1) // SK_PASS
	if err != nil {
		return false, fmt.Errorf("asking the kernel about programs of type %s: %w", program, err)
	}
	defer prog.Close()
	if l, err := link.AttachRawLink(link.RawLinkOptions{Target: m.FD(), Program: prog, Attach: at}); err == nil {
		return true, l.Close()
	}
	// The map takes it along when it goes.
	err = link.RawAttachProgram(link.RawAttachProgramOptions{Target: m.FD(), Program: prog, Attach: at})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, ebpf.ErrNotSupported) {
		return false, unsupported(fmt.Sprintf("event %s of maps of sockets", at), sinceAttachType(at))
	}
	return false, err
}
