// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// flowDissectorHook attaches to a network namespace, the one bpfimg runs in or
// that of option netns: the program replaces the kernel's own way to find
// addresses and ports in a packet. A namespace has one, and none while the
// initial namespace has one.
type flowDissectorHook struct{}

// flowDissectorLinks is what attaching needs; since is their first Linux.
const (
	flowDissectorLinks      = "flow dissector links to network namespaces"
	flowDissectorLinksSince = "5.8"
)

func (flowDissectorHook) programType() ebpf.ProgramType  { return ebpf.FlowDissector }
func (flowDissectorHook) capability() capability         { return unix.CAP_NET_ADMIN }
func (flowDissectorHook) networked() bool                { return false }
func (flowDissectorHook) target() (what, example string) { return "", "" }

// probe attaches to a file that is not there: a kernel with such links misses the
// file, one without does not know the request.
func (flowDissectorHook) probe() error {
	if err := features.HaveProgramType(ebpf.FlowDissector); err != nil {
		return err
	}
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.FlowDissector, AttachType: ebpf.AttachFlowDissector}, 0)
	if err != nil {
		return err
	}
	_, err = link.AttachRawLink(link.RawLinkOptions{Target: math.MaxInt32, Program: prog, Attach: ebpf.AttachFlowDissector})
	if errors.Is(err, unix.EBADF) {
		return prog.Close()
	}
	return joined.Errors(unsupported(flowDissectorLinks, flowDissectorLinksSince), prog.Close())
}

func (flowDissectorHook) prepare(_ context.Context, h *host, p *placement) error {
	if p.link.Target != "" {
		return p.usage("takes no target; the option netns says which network namespace")
	}
	p.spec.AttachType = ebpf.AttachFlowDissector
	return inThisNetns(func(ns *os.File) error {
		there, err := link.QueryPrograms(link.QueryOptions{Target: int(ns.Fd()), Attach: ebpf.AttachFlowDissector})
		if err != nil || len(there.Programs) == 0 {
			return nil // if it cannot be asked, attaching tells
		}
		return dissectorTaken(p, h.owner(uint32(there.Programs[0].ID)), unix.EBUSY)
	})
}

func dissectorTaken(p *placement, owner string, err error) error {
	return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf("this network namespace has a flow dissector already, %s: %w", owner, err)}
}

func (flowDissectorHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	var held *link.NetNsLink
	err := inThisNetns(func(ns *os.File) (err error) {
		held, err = link.AttachNetNs(int(ns.Fd()), prog)
		return err
	})
	switch {
	case err == nil:
		return held, nil
	case errors.Is(err, unix.E2BIG), errors.Is(err, unix.EBUSY):
		return nil, dissectorTaken(p, "set meanwhile", err)
	case errors.Is(err, unix.EEXIST):
		// flow_dissector_bpf_prog_attach_check
		err = fmt.Errorf("the initial network namespace's flow dissector is that of every namespace: it cannot be set while another namespace has one, "+
			"nor another's while it has one: %w", err)
		return nil, &KernelError{Op: "attaching " + p.String(), Err: err}
	}
	return nil, attachError(p, flowDissectorLinks, flowDissectorLinksSince, err)
}

// inThisNetns calls f with the file of the calling thread's network namespace.
func inThisNetns(f func(ns *os.File) error) error {
	ns, err := os.Open(ownNetnsFile)
	if err != nil {
		return fmt.Errorf("opening the network namespace: %w", err)
	}
	return joined.Errors(f(ns), ns.Close())
}
