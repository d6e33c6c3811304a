// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
)

// Examine looks for what killed commands, other tools and restarts have left:
// half-done instances, pins without a record, records without an attachment,
// stray files; and for what this machine lacks. It changes nothing. While it
// looks, no other bpfimg changes instances. Errors: [ErrLocked],
// [PermissionError].
func (m *Manager) Examine(ctx context.Context) ([]Finding, error) {
	return m.doctor(ctx, func(context.Context, *Finding) {})
}

// Repair is Examine, and then mends what is fixable. It goes on when one cannot
// be mended; the findings say what became of each.
func (m *Manager) Repair(ctx context.Context) ([]Finding, error) {
	return m.doctor(ctx, func(ctx context.Context, f *Finding) {
		if !f.Fixable {
			return
		}
		if err := f.fix(ctx); err != nil {
			f.Error = err.Error()
			return
		}
		f.Fixed = true
	})
}

func (m *Manager) doctor(ctx context.Context, treat func(context.Context, *Finding)) (findings []Finding, err error) {
	if err := needBPF("examining instances"); err != nil {
		return nil, err
	}
	lock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, lock.Unlock()) }()
	names, err := m.names()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		found, err := m.examine(name)
		if err != nil {
			return findings, err
		}
		findings = append(findings, found...)
	}
	findings = append(findings, m.strayFiles()...)
	findings = append(findings, m.strayDispatchers(ctx)...)
	for i := range findings {
		if err := ctx.Err(); err != nil {
			return findings, fmt.Errorf("examining instances: %w", err)
		}
		treat(ctx, &findings[i])
	}
	return append(findings, environment()...), nil
}

// examine looks at one instance.
func (m *Manager) examine(name string) ([]Finding, error) {
	rec, err := m.record(name)
	clear := func(ctx context.Context) error { return m.remove(ctx, name, rec) }
	one := func(problem, remedy string) []Finding {
		return []Finding{{Instance: name, Problem: problem, Remedy: remedy, Fixable: true, fix: clear}}
	}
	switch {
	case err != nil && !errors.Is(err, errDamaged):
		return []Finding{{Instance: name, Problem: err.Error(), Remedy: "use the bpfimg that wrote it"}}, nil
	case err != nil:
		return one(err.Error(), "detach what its pins hold, and forget it"), nil
	case rec == nil:
		return one(fmt.Sprintf("there are pins without a record in %s", m.pinDir(name)), "detach what they hold, and remove them"), nil
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	if rec.BootID != boot {
		return one("the machine was restarted since: nothing of it runs", "forget it; to have it back, run it again"), nil
	}
	if interrupted(rec) {
		return []Finding{{
			Instance: name, Problem: "its update was interrupted", Remedy: updateRemedy(rec), Fixable: true,
			fix: func(ctx context.Context) error { return m.repair(ctx, name) },
		}}, nil
	}
	switch why, err := m.staleness(rec); {
	case err != nil:
		return nil, err
	case why != "":
		return one(why, "take back what it has done"), nil
	}
	if n := attached(rec); len(rec.Links) > 0 && n == 0 {
		return one("nothing of it is attached any more: somebody detached it, or its targets are gone",
			"unload what is left; to have it back, run it again"), nil
	}
	var out []Finding
	for _, p := range problems(rec) {
		out = append(out, Finding{
			Instance: name, Problem: p,
			Remedy: fmt.Sprintf("the rest of it still works: stop it and run it again when that suits (`bpfimg stop %s`)", name),
		})
	}
	strays, err := m.strayPins(rec)
	return append(out, strays...), err
}

// attached counts the attachments that are still there.
func attached(rec *schemas.Instance) int {
	n := 0
	for _, l := range rec.Links {
		if linkState(l, rec.Programs) == "" {
			n++
		}
	}
	return n
}

// strayPins are files below the instance's folder that its record does not know.
func (m *Manager) strayPins(rec *schemas.Instance) ([]Finding, error) {
	if rec.PinPath == "" {
		return nil, nil
	}
	known := pinsOf(rec)
	var out []Finding
	for _, folder := range pinFolders() {
		paths, err := pinned(rec.PinPath, folder)
		if err != nil {
			return out, err
		}
		for _, path := range paths {
			if slices.Contains(known, path) {
				continue
			}
			out = append(out, Finding{
				Instance: rec.Name, Problem: fmt.Sprintf("the record does not know the pin %s", path),
				Remedy: "remove the pin", Fixable: true, fix: func(context.Context) error { return removePath(path) },
			})
		}
	}
	return out, nil
}

// pinsOf lists every pin the record names.
func pinsOf(rec *schemas.Instance) []string {
	var out []string
	for _, p := range rec.Programs {
		out = append(out, p.Pin)
	}
	for _, mp := range rec.Maps {
		out = append(out, mp.Pin)
	}
	for _, l := range rec.Links {
		for _, part := range l.Parts() {
			out = append(out, part.Pin)
		}
	}
	return out
}

// strayFiles are those in the state folder that a killed command left.
func (m *Manager) strayFiles() []Finding {
	var out []Finding
	halfWritten, err := filepath.Glob(filepath.Join(m.recordDir(), atomicfile.Leftovers))
	if err == nil {
		for _, path := range halfWritten {
			out = append(out, strayFile(path, "a record that was never finished"))
		}
	}
	holders, err := os.ReadDir(filepath.Dir(m.holderPath("x")))
	if err != nil {
		return out // there was no foreground run yet
	}
	for _, e := range holders {
		if _, err := os.Stat(m.recordPath(e.Name())); errors.Is(err, fs.ErrNotExist) {
			out = append(out, strayFile(m.holderPath(e.Name()), "the lock of a foreground run that is over"))
		}
	}
	return out
}

func strayFile(path, what string) Finding {
	return Finding{
		Problem: fmt.Sprintf("there is %s: %s", what, path), Remedy: "remove the file",
		Fixable: true, fix: func(context.Context) error { return removePath(path) },
	}
}

// environment says what this machine lacks that hooks or people miss.
func environment() []Finding {
	var out []Finding
	for _, check := range []struct {
		path, want      string
		problem, remedy string
	}{
		{kernelTypes, "", "the kernel shows no types of its own (BTF)", "objects built with CO-RE need a kernel with CONFIG_DEBUG_INFO_BTF"},
		{"/sys/kernel/tracing/events", "", "tracefs is not mounted", "tracepoints and probes need it: mount -t tracefs tracefs /sys/kernel/tracing"},
		{"/proc/sys/net/core/bpf_jit_enable", "1", "programs are interpreted, which is several times slower", "sysctl net.core.bpf_jit_enable=1"},
	} {
		data, err := os.ReadFile(check.path)
		missing := errors.Is(err, fs.ErrNotExist)
		// 2 is 1 with a log.
		wrong := err == nil && check.want != "" && strings.TrimSpace(string(data)) < check.want
		if missing && check.want == "" || wrong {
			out = append(out, Finding{Problem: check.problem, Remedy: check.remedy, Note: true})
		}
	}
	if is, err := onBPFFS(customaryBPFFS); err == nil && !is {
		out = append(out, Finding{Problem: "no BPF file system is mounted at " + customaryBPFFS, Remedy: "`bpfimg run` mounts it", Note: true})
	}
	return out
}
