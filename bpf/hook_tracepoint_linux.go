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
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// tracepointHook attaches to a static trace event, "group/name".
type tracepointHook struct{}

// tracefsDir is where tracefs is mounted by custom; the kernel makes the folder.
const tracefsDir = "/sys/kernel/tracing"

func (tracepointHook) programType() ebpf.ProgramType { return ebpf.TracePoint }
func (tracepointHook) capability() capability        { return unix.CAP_PERFMON }
func (tracepointHook) networked() bool               { return false }
func (tracepointHook) heldByPerf()                   {}

// prepare needs tracefs, where events have their ids. If no one has mounted it,
// prepare does, as init systems do: that changes nothing that must be undone.
func (tracepointHook) prepare(_ context.Context, h *host, p *placement) error {
	group, name, ok := strings.Cut(p.link.Target, "/")
	if !ok || !isEventName(group) || !isEventName(name) {
		return p.usage("a tracepoint is group/name, such as sched/sched_process_exec")
	}
	events, err := traceEvents(h)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	_, err = os.Stat(filepath.Join(events, group, name, "id"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: this kernel (%s) has no tracepoint %q; see %s", p, ErrNoTarget, kernelRelease(), p.link.Target, events)
	}
	if err != nil {
		return fmt.Errorf("%s: looking up the tracepoint: %w", p, err)
	}
	return nil
}

func (tracepointHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	group, name, _ := strings.Cut(p.link.Target, "/")
	l, err := link.Tracepoint(group, name, prog, nil)
	if err != nil {
		return nil, attachError(p, "tracepoint programs", "4.7", err)
	}
	return l, nil
}

// isEventName allows what names of events are made of, and so no path.
func isEventName(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// traceEvents is the folder of trace events.
func traceEvents(h *host) (string, error) {
	places := []string{tracefsDir, "/sys/kernel/debug/tracing"}
	for _, dir := range places {
		if _, err := os.Stat(filepath.Join(dir, "events")); err == nil {
			return filepath.Join(dir, "events"), nil
		}
	}
	set, err := effectiveCapabilities()
	if err != nil {
		return "", err
	}
	if err := set.require("mounting tracefs at "+tracefsDir, unix.CAP_SYS_ADMIN, true); err != nil {
		return "", err
	}
	if err := unix.Mount("tracefs", tracefsDir, "tracefs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return "", fmt.Errorf("mounting tracefs at %s, which tracepoints need: %w", tracefsDir, err)
	}
	h.log.Info("mounted tracefs", "path", tracefsDir)
	return filepath.Join(tracefsDir, "events"), nil
}
