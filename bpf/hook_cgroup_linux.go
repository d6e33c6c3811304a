// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// cgroupHook attaches to a control group (version 2) as a link, for the events
// of the processes in it and below. Which events is the program's attach type,
// from its section. Options:
//
//   - direction, of cgroup_skb only: "ingress" or "egress", required unless the
//     section says it;
//   - order, before, after: where among the programs of the same cgroup and event;
//     when none is given, behind them;
//   - preorder: "true" runs it before those of the cgroups below.
type cgroupHook struct {
	program ebpf.ProgramType
	// attachTypes are those that are this hook.
	attachTypes []ebpf.AttachType
}

// cgroupHooks are the hooks on control groups, by name.
func cgroupHooks() map[string]hook {
	return map[string]hook{
		"cgroup_skb": cgroupHook{ebpf.CGroupSKB, []ebpf.AttachType{ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress}},
		"cgroup_sock": cgroupHook{ebpf.CGroupSock, []ebpf.AttachType{
			ebpf.AttachCGroupInetSockCreate, ebpf.AttachCgroupInetSockRelease,
			ebpf.AttachCGroupInet4PostBind, ebpf.AttachCGroupInet6PostBind,
		}},
		"cgroup_sock_addr": cgroupHook{ebpf.CGroupSockAddr, []ebpf.AttachType{
			ebpf.AttachCGroupInet4Connect, ebpf.AttachCGroupInet6Connect,
			ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind,
			ebpf.AttachCGroupUDP4Sendmsg, ebpf.AttachCGroupUDP6Sendmsg,
			ebpf.AttachCGroupUDP4Recvmsg, ebpf.AttachCGroupUDP6Recvmsg,
			ebpf.AttachCgroupInet4GetPeername, ebpf.AttachCgroupInet6GetPeername,
			ebpf.AttachCgroupInet4GetSockname, ebpf.AttachCgroupInet6GetSockname,
			ebpf.AttachCgroupUnixConnect, ebpf.AttachCgroupUnixSendmsg, ebpf.AttachCgroupUnixRecvmsg,
			ebpf.AttachCgroupUnixGetpeername, ebpf.AttachCgroupUnixGetsockname,
		}},
		"cgroup_sockopt": cgroupHook{ebpf.CGroupSockopt, []ebpf.AttachType{ebpf.AttachCGroupGetsockopt, ebpf.AttachCGroupSetsockopt}},
		"cgroup_sysctl":  cgroupHook{ebpf.CGroupSysctl, []ebpf.AttachType{ebpf.AttachCGroupSysctl}},
		"cgroup_device":  cgroupHook{ebpf.CGroupDevice, []ebpf.AttachType{ebpf.AttachCGroupDevice}},
		"sockops":        cgroupHook{ebpf.SockOps, []ebpf.AttachType{ebpf.AttachCGroupSockOps}},
	}
}

func (c cgroupHook) programType() ebpf.ProgramType { return c.program }
func (cgroupHook) capability() capability          { return unix.CAP_NET_ADMIN }
func (cgroupHook) networked() bool                 { return false }

// target is never the root by default: that is every process of the machine.
func (cgroupHook) target() (what, example string) { return "a cgroup", "/sys/fs/cgroup/NAME" }

// prepare settles the attach type, which the kernel is told at loading, and
// looks the control group up.
func (c cgroupHook) prepare(ctx context.Context, h *host, p *placement) error {
	at, err := c.attachType(p)
	if err != nil {
		return err
	}
	p.spec.AttachType = at
	if err := checkCgroup(p); err != nil {
		return err
	}
	if err := haveAttachType(c.program, at); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return prepareCgroupOrder(ctx, h, p)
}

// probe asks for the program type, and for links to control groups (Linux 5.7):
// older kernels attach without, which bpfimg could not keep or undo.
func (c cgroupHook) probe() error {
	if err := features.HaveProgramType(c.program); err != nil {
		return err
	}
	if !haveLinks(ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress) {
		return unsupported("cgroup links", "5.7")
	}
	return nil
}

func (c cgroupHook) attachType(p *placement) (ebpf.AttachType, error) {
	if c.program == ebpf.CGroupSKB {
		// Ingress is number 0, so the attach type cannot tell it from unknown.
		switch p.option("direction") {
		case "ingress":
			return ebpf.AttachCGroupInetIngress, nil
		case "egress":
			return ebpf.AttachCGroupInetEgress, nil
		}
		return 0, p.usage("needs a direction: --attach %s,direction=ingress (or egress)", p)
	}
	if slices.Contains(c.attachTypes, p.spec.AttachType) {
		return p.spec.AttachType, nil
	}
	if len(c.attachTypes) == 1 {
		return c.attachTypes[0], nil
	}
	return 0, p.usage("section %q does not say which event of the cgroup, or one that bpfimg does not attach to", p.spec.SectionName)
}

// checkCgroup checks that the target is the folder of a control group of
// version 2.
func checkCgroup(p *placement) error {
	path := p.link.Target
	if !filepath.IsAbs(path) {
		return p.usage("a cgroup is an absolute path, such as /sys/fs/cgroup/NAME")
	}
	path = filepath.Clean(path)
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: there is no cgroup %q", p, ErrNoTarget, path)
	}
	if err != nil {
		return fmt.Errorf("%s: looking up the cgroup: %w", p, err)
	}
	var fsInfo unix.Statfs_t
	if err := unix.Statfs(path, &fsInfo); err != nil {
		return fmt.Errorf("%s: looking up the cgroup's file system: %w", p, err)
	}
	if int64(fsInfo.Type) != unix.CGROUP2_SUPER_MAGIC || !st.IsDir() {
		return p.usage("%q is not the folder of a cgroup of version 2; `mount -t cgroup2` lists where those are", path)
	}
	p.link.Target = path
	return nil
}

func (cgroupHook) attach(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	if ordered, err := cgroupOrdered(p); err != nil {
		return nil, err
	} else if ordered {
		return attachCgroupInOrder(ctx, h, p, prog)
	}
	return attachCgroup(p, prog)
}

// attachCgroup links the program to the control group, or fails: unlike
// [link.AttachCgroup] it never attaches without a link.
func attachCgroup(p *placement, prog *ebpf.Program) (io.Closer, error) {
	dir, err := os.Open(p.link.Target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("attaching %s: %w: cgroup %q is gone", p, ErrNoTarget, p.link.Target)
	}
	if err != nil {
		return nil, fmt.Errorf("attaching %s: opening the cgroup: %w", p, err)
	}
	l, err := link.AttachRawLink(link.RawLinkOptions{Target: int(dir.Fd()), Program: prog, Attach: p.spec.AttachType})
	if err = joined.Errors(err, dir.Close()); err != nil {
		return nil, cgroupError(p, err)
	}
	return l, nil
}

// cgroupError puts the kernel's answer into words (cgroup_attach and
// hierarchy_allows_attach, kernel/bpf/cgroup.c).
func cgroupError(p *placement, err error) error {
	op := "attaching " + p.String()
	switch {
	case errors.Is(err, unix.EPERM):
		return &KernelError{Op: op, Err: fmt.Errorf("%q, or a cgroup above it, has a program that was attached to be the only one there "+
			"(`bpftool cgroup tree` shows which), or a security module forbids it: %w", p.link.Target, err)}
	case errors.Is(err, unix.E2BIG):
		return &KernelError{Op: op, Err: fmt.Errorf("%q has as many programs of this kind as the kernel takes: %w", p.link.Target, err)}
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%s: %w: cgroup %q is gone: %w", op, ErrNoTarget, p.link.Target, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s: %w", op, unsupported(fmt.Sprintf("attach type %s", p.spec.AttachType), ""))
	}
	return attachError(p, "cgroup links", "5.7", err)
}
