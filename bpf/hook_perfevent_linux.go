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

// perfEventHook runs a program each time a perf event has counted far enough. The
// event is opened on each CPU, or on each thread of one process, and each of them
// is a link.
type perfEventHook struct{}

func (perfEventHook) programType() ebpf.ProgramType  { return ebpf.PerfEvent }
func (perfEventHook) capability() capability         { return unix.CAP_PERFMON }
func (perfEventHook) networked() bool                { return false }
func (perfEventHook) heldByPerf()                    {}
func (perfEventHook) target() (what, example string) { return "an event", "cpu-clock" }

// prepare reads the event and how often, and opens it once to learn whether this
// machine has it.
func (perfEventHook) prepare(_ context.Context, _ *host, p *placement) error {
	attr, err := perfAttr(p)
	if err != nil {
		return err
	}
	places, err := perfPlaces(p)
	if err != nil {
		return err
	}
	fd, err := openPerf(p, attr, places[0])
	if err != nil {
		return err
	}
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("%s: closing a perf event: %w", p, err)
	}
	return nil
}

// attach opens the event at each place. Before Linux 5.15 there are no links to
// them, and the events themselves hold the program.
func (perfEventHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	attr, err := perfAttr(p)
	if err != nil {
		return nil, err
	}
	places, err := perfPlaces(p)
	if err != nil {
		return nil, err
	}
	if !havePerfLinks() {
		return holdPerf(p, attr, places, prog)
	}
	var all links
	for _, place := range places {
		l, err := linkPerf(p, attr, place, prog)
		if errors.Is(err, errNoThread) {
			continue
		}
		if err != nil {
			return nil, joined.Errors(err, all.Close())
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("attaching %s: %w: process %s has ended", p, ErrNoTarget, p.option(optionPID))
	}
	return all, nil
}

// linkPerf opens the event at one place and links prog to it. The link keeps the
// event.
func linkPerf(p *placement, attr *unix.PerfEventAttr, at perfPlace, prog *ebpf.Program) (link.Link, error) {
	fd, err := openPerf(p, attr, at)
	if err != nil {
		return nil, err
	}
	l, err := link.AttachRawLink(link.RawLinkOptions{Program: prog, Attach: ebpf.AttachPerfEvent, Target: fd})
	if err != nil {
		return nil, joined.Errors(attachError(p, "links of perf events", "5.15", err), unix.Close(fd))
	}
	if err := unix.Close(fd); err != nil {
		return nil, joined.Errors(fmt.Errorf("attaching %s: closing a perf event: %w", p, err), l.Close())
	}
	return l, nil
}

// perfEvents are open perf events with a program on them, which goes when they
// are closed.
type perfEvents []int

// Close closes all.
func (e perfEvents) Close() error {
	errs := make([]error, len(e))
	for i := range e {
		errs[i] = unix.Close(e[i])
	}
	return joined.Errors(errs...)
}

// holdPerf does without links.
func holdPerf(p *placement, attr *unix.PerfEventAttr, places []perfPlace, prog *ebpf.Program) (io.Closer, error) {
	var all perfEvents
	for _, place := range places {
		fd, err := openPerf(p, attr, place)
		if errors.Is(err, errNoThread) {
			continue
		}
		if err != nil {
			return nil, joined.Errors(err, all.Close())
		}
		all = append(all, fd)
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, prog.FD()); err != nil {
			return nil, joined.Errors(attachError(p, "programs on perf events", "4.9", err), all.Close())
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("attaching %s: %w: process %s has ended", p, ErrNoTarget, p.option(optionPID))
	}
	return all, nil
}

// errNoThread: the thread to watch has ended.
var errNoThread = errors.New("the thread has ended")

// openPerf opens the event at one place and puts the kernel's answer into words
// (perf_event_open(2)).
func openPerf(p *placement, attr *unix.PerfEventAttr, at perfPlace) (int, error) {
	fd, err := unix.PerfEventOpen(attr, at.pid, at.cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ESRCH):
		return -1, fmt.Errorf("%s: %w: %w", p, ErrNoTarget, errNoThread)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		return -1, fmt.Errorf("%s: %w: this machine cannot count %q; hardware events need performance counters, which many virtual machines do not have: %w",
			p, ErrNoTarget, p.link.Target, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		err = fmt.Errorf("opening the event is not permitted (see /proc/sys/kernel/perf_event_paranoid): %w", err)
	case errors.Is(err, unix.EMFILE):
		err = fmt.Errorf("one open file for each CPU or thread is more than this process may have (ulimit -n): %w", err)
	}
	return -1, &KernelError{Op: "attaching " + p.String(), Err: err}
}
