// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// lookupHook attaches to the choice of a socket for an incoming packet (TCP: for
// a new connection), in a whole network namespace. Links: Linux 5.9.
type lookupHook struct{}

func (lookupHook) programType() ebpf.ProgramType { return ebpf.SkLookup }
func (lookupHook) capability() capability        { return unix.CAP_NET_ADMIN }
func (lookupHook) networked() bool               { return false }

// target: the option netns says where, and the namespace bpfimg runs in is a
// place too.
func (lookupHook) target() (what, example string) { return "", "" }

func (lookupHook) prepare(_ context.Context, _ *host, p *placement) error {
	if p.link.Target != "" {
		return p.usage("takes no target; the option netns says which network namespace")
	}
	p.spec.AttachType = ebpf.AttachSkLookup
	return nil
}

func (lookupHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	ns, err := unix.Open(ownNetnsFile, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("attaching %s: opening the network namespace: %w", p, err)
	}
	l, err := link.AttachNetNs(ns, prog)
	err = joined.Errors(err, unix.Close(ns))
	if errors.Is(err, unix.E2BIG) {
		return nil, &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf("the network namespace has as many programs as it takes: %w", err)}
	}
	if err != nil {
		return nil, attachError(p, "links to network namespaces", "5.9", err)
	}
	return l, nil
}
