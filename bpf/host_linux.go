// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/schemas"
)

// host is what hooks know of the system they work on.
type host struct {
	log *slog.Logger
	// records are the instances there are, to say whose a program is.
	records []schemas.Instance
	// manager is for hooks that have steps of their own.
	manager *Manager
	// foreground says that nothing may outlive the process.
	foreground bool
	// plan is what is to be loaded.
	plan *plan
	// objs are the loaded objects, from when there are any.
	objs *loaded
	// functions are those that match a pattern, by pattern: listing what the kernel
	// has takes long.
	functions map[string]kernelMatches
	// usdtSpecs counts the specifications of probe arguments given to programs.
	usdtSpecs uint32
	// sockmaps says which programs this run has attached to maps of sockets.
	sockmaps map[sockmapPlace]string
}

// iface looks the placement's interface up and records where it is.
func (h *host) iface(p *placement) (netlink.Link, error) { return h.ifaceNamed(p, p.link.Target) }

// ifaceNamed is iface where the interface is not the target.
func (h *host) ifaceNamed(p *placement, name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, fmt.Errorf("%s: %w: there is no interface %q in this network namespace; there are %s",
			p, ErrNoTarget, name, interfaceNames())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: looking up interface %q: %w", p, name, err)
	}
	p.link.Ifindex = uint32(l.Attrs().Index)
	return l, nil
}

// interfaceNames lists up to a screenful of what exists.
func interfaceNames() string {
	const most = 20
	links, err := netlink.LinkList()
	if err != nil && len(links) == 0 {
		return "none to be seen"
	}
	var names []string
	for i, l := range links {
		if i == most {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprintf("%q", l.Attrs().Name))
	}
	return strings.Join(names, ", ")
}

// owner describes a loaded program by id: its name, and the instance it belongs
// to if it is one of ours.
func (h *host) owner(id uint32) string {
	for _, r := range h.records {
		for _, p := range r.Programs {
			if p.ID == id {
				return fmt.Sprintf("program %q (id %d) of instance %q", p.Name, id, r.Name)
			}
		}
	}
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return fmt.Sprintf("program id %d", id)
	}
	defer prog.Close()
	if info, err := prog.Info(); err == nil && info.Name != "" {
		return fmt.Sprintf("program %q (id %d), which bpfimg did not attach", info.Name, id)
	}
	return fmt.Sprintf("program id %d, which bpfimg did not attach", id)
}
