// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/probes"
)

// kprobeMultiHook attaches to the entries of all kernel functions whose name
// matches a pattern, with ret to their returns, and with session to both. One
// link holds them all.
type kprobeMultiHook struct{ ret, session bool }

// maxFunctions is how many functions a pattern may match. The kernel takes more,
// but probing most of what it has makes a machine crawl, and was not meant.
const maxFunctions = 10000

func (kprobeMultiHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (kprobeMultiHook) capability() capability        { return unix.CAP_PERFMON }
func (kprobeMultiHook) networked() bool               { return false }

func (kprobeMultiHook) target() (what, example string) {
	return "a kernel function or a pattern", "tcp_*"
}

// prepare looks up which functions match, and has the program loaded for more
// than one.
func (k kprobeMultiHook) prepare(_ context.Context, h *host, p *placement) error {
	p.spec.AttachType = ebpf.AttachTraceKprobeMulti
	if k.session {
		p.spec.AttachType = ebpf.AttachTraceKprobeSession
	}
	found, err := matchingFunctions(h, p.link.Target)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	switch count := found.count(); {
	case count == 0 && probes.IsPattern(p.link.Target):
		return fmt.Errorf("%s: %w: no function of this kernel (%s) that can be probed matches %q", p, ErrNoTarget, kernelRelease(), p.link.Target)
	case count == 0:
		return noFunction(p, p.link.Target)
	case count > maxFunctions:
		return p.usage("more than %d functions match %q: a narrower pattern is needed", maxFunctions, p.link.Target)
	case probes.IsPattern(p.link.Target):
		p.notice(h.log, "%q matches %d kernel function(s)", p.link.Target, count)
	}
	return nil
}

func (k kprobeMultiHook) attach(_ context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	found, err := matchingFunctions(h, p.link.Target)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	l, err := k.link(prog, slices.Concat(found.kernel, found.modules))
	// Before Linux 6.2 functions of modules are not found by name.
	if errors.Is(err, fs.ErrNotExist) && len(found.modules) > 0 && len(found.kernel) > 0 {
		if l, err = k.link(prog, found.kernel); err == nil {
			p.notice(h.log, "%d functions of modules that match %q cannot be found by name on this kernel (%s), and are left out",
				len(found.modules), p.link.Target, kernelRelease())
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: a function that matches %q cannot be probed on this kernel (%s): %w",
			p, ErrNoTarget, p.link.Target, kernelRelease(), unix.ESRCH)
	case err != nil:
		return nil, attachError(p, "kprobe.multi links", "5.18", err)
	}
	return l, nil
}

// link puts one probe at all the functions.
func (k kprobeMultiHook) link(prog *ebpf.Program, functions []string) (link.Link, error) {
	opts := link.KprobeMultiOptions{Symbols: functions, Session: k.session}
	if k.ret {
		return link.KretprobeMulti(prog, opts)
	}
	return link.KprobeMulti(prog, opts)
}

// probe has a small program attached for a moment.
func (k kprobeMultiHook) probe() error {
	err, since := features.HaveBPFLinkKprobeMulti(), kernelAtLeast(5, 18)
	if k.session {
		err, since = features.HaveBPFLinkKprobeSession(), kernelAtLeast(6, 10)
	}
	if errors.Is(err, ebpf.ErrNotSupported) && since {
		return unsupported("probes of many functions at once (CONFIG_FPROBE)", "")
	}
	return err
}

// kernelMatches are the functions that match a pattern, each name once.
type kernelMatches struct{ kernel, modules []string }

func (m kernelMatches) count() int { return len(m.kernel) + len(m.modules) }

// matchingFunctions looks a pattern up among the functions the kernel can trace,
// or, where it does not list those, among all. It stops beyond maxFunctions.
func matchingFunctions(h *host, pattern string) (found kernelMatches, err error) {
	if found, known := h.functions[pattern]; known {
		return found, nil
	}
	traceable, err := traceableFunctions(h, pattern)
	if err != nil {
		h.log.Debug("the list of functions that can be traced cannot be read", "error", err)
	}
	seen := map[string]bool{}
	err = kernelSymbols(func(symbol, module string) bool {
		if seen[symbol] || !probes.Match(pattern, symbol) || (traceable != nil && !traceable[symbol]) {
			return true
		}
		seen[symbol] = true
		if module == "" {
			found.kernel = append(found.kernel, symbol)
		} else {
			found.modules = append(found.modules, symbol)
		}
		return found.count() <= maxFunctions
	})
	if err != nil {
		return found, err
	}
	if h.functions == nil {
		h.functions = map[string]kernelMatches{}
	}
	h.functions[pattern] = found
	return found, nil
}

// traceableFunctions are those ftrace can put probes at and the pattern matches.
func traceableFunctions(h *host, pattern string) (map[string]bool, error) {
	events, err := traceEvents(h)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(filepath.Dir(events), "available_filter_functions"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// name [module]
		if name, _, _ := strings.Cut(lines.Text(), " "); probes.Match(pattern, name) {
			found[name] = true
		}
	}
	return found, lines.Err()
}
