// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// starting is a run on its way.
type starting struct {
	m    *Manager
	plan *plan
	opts RunOptions
	host *host
	// access is who may open the maps' pins.
	access mapAccess
	rec    *schemas.Instance
	objs   *loaded
	// held is what holds the attachments until it is closed, or for good once it
	// is pinned.
	held []io.Closer
	// holder is held by a foreground run for as long as it lives.
	holder *fileLock
}

// Run loads the verified image, attaches its programs, pins everything below the
// bpffs folder and records the instance. If anything fails, or ctx ends, all of
// it is undone. Errors: [ErrUsage], [ErrExists], [ErrNoTarget], [ErrLocked],
// [KernelError], [PermissionError], [UnsupportedError], and
// [verify.ErrNotTrusted] for what the policy's limits do not allow.
func (m *Manager) Run(ctx context.Context, v *verify.Verified, opts RunOptions) (*Running, error) {
	name, err := InstanceName(opts.Name, v.Reference().Repository())
	if err != nil {
		return nil, err
	}
	p, err := newPlan(v, opts)
	if err != nil {
		return nil, err
	}
	if err := m.takeTypes(p, opts.KernelBTF, v); err != nil {
		return nil, err
	}
	set, err := effectiveCapabilities()
	if err != nil {
		return nil, err
	}
	if err := p.checkCapabilities(set); err != nil {
		return nil, err
	}
	lock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	run, err := m.runLocked(ctx, p, newRecord(name, v, opts), opts)
	return run, joined.Errors(err, p.close(), lock.Unlock())
}

// newRecord is the record before anything is loaded.
func newRecord(name string, v *verify.Verified, opts RunOptions) *schemas.Instance {
	reference := v.Reference().Name()
	if tag := v.Reference().Tag(); tag != "" {
		reference += ":" + tag
	}
	var objects []string
	for _, o := range v.Objects() {
		objects = append(objects, o.Digest)
	}
	return &schemas.Instance{
		SchemaVersion: schemas.InstanceVersion, Name: name, State: stateStarting,
		Reference: reference, Digest: v.Digest(), Signers: v.Signers(), Unverified: v.Skipped(),
		Version: v.Description().Version, IndexDigest: v.IndexDigest(), Objects: objects,
		Foreground: opts.Foreground, Variables: opts.Set, MaxEntries: opts.MaxEntries,
	}
}

// runLocked does the work of Run.
func (m *Manager) runLocked(ctx context.Context, p *plan, rec *schemas.Instance, opts RunOptions) (*Running, error) {
	s := &starting{m: m, plan: p, rec: rec, opts: opts}
	defer p.returnMaps()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	if err := m.at(ctx, "load"); err != nil {
		return nil, err
	}
	objs, err := p.load()
	if err != nil {
		return nil, m.saveLog(rec.Name, err)
	}
	s.objs, s.host.objs = objs, objs
	if err := s.start(ctx); err != nil {
		return nil, joined.Errors(err, s.undo(ctx))
	}
	if rec.Foreground {
		return &Running{Instance: *rec, close: s.end}, nil
	}
	return &Running{Instance: *rec}, s.release()
}

// prepare clears what a killed run left, and checks everything that can be
// checked before the kernel is asked for anything.
func (s *starting) prepare(ctx context.Context) error {
	if err := s.m.clearStale(ctx, s.rec.Name); err != nil {
		return err
	}
	var err error
	if s.rec.BootID, err = bootID(); err != nil {
		return err
	}
	if s.host, err = s.m.host(); err != nil {
		return err
	}
	s.host.plan, s.host.foreground = s.plan, s.rec.Foreground
	if s.access, err = newMapAccess(s.opts); err != nil {
		return err
	}
	s.rec.MapMode, s.rec.MapGroup = s.access.recorded(s.opts)
	if err := s.plan.borrow(s.m, s.opts); err != nil {
		return err
	}
	if err := s.plan.supported(s.rec.Foreground); err != nil {
		return err
	}
	if err := s.plan.fillKconfig(); err != nil {
		return err
	}
	for _, pl := range s.plan.placements {
		if err := s.prepareHook(ctx, pl); err != nil {
			return err
		}
	}
	if s.rec.Foreground {
		return nil
	}
	return ensureBPFFS(s.m.bpffs)
}

// prepareHook has the hook look at its target, in the target's network namespace.
func (s *starting) prepareHook(ctx context.Context, pl *placement) error {
	path, err := netnsPath(pl)
	if err != nil {
		return err
	}
	pl.link.NetnsPath = path
	err = inNetns(path, func() error {
		if pl.info.HasOption(inspect.OptionNetns) {
			if pl.link.Netns, err = currentNetns(); err != nil {
				return err
			}
		}
		return pl.hook.prepare(ctx, s.host, pl)
	})
	if err == nil {
		err = s.plan.allowedPlace(pl)
	}
	if err == nil && pl.link.Via == viaProcess && !s.rec.Foreground {
		return pl.usage("nothing can keep this attached without a process: give --foreground")
	}
	return err
}

// start makes the loaded objects an instance. What it has done when it fails is
// for undo, which works from the record: whatever a step leaves in the kernel
// after the process must be in the record, or under its pin folder, before.
func (s *starting) start(ctx context.Context) error {
	s.describe()
	if err := s.m.at(ctx, "record"); err != nil {
		return err
	}
	if err := s.m.save(s.rec); err != nil {
		return err
	}
	if err := s.pinObjects(ctx); err != nil {
		return err
	}
	for i, pl := range s.plan.placements {
		if err := s.attach(ctx, i, pl); err != nil {
			return err
		}
	}
	s.rec.State, s.rec.Started = stateRunning, time.Now().UTC()
	if err := s.m.at(ctx, "finish"); err != nil {
		return err
	}
	if s.rec.Foreground {
		if err := s.hold(); err != nil {
			return err
		}
	}
	return s.m.save(s.rec)
}

// describe fills the record with what is loaded and what will be attached.
func (s *starting) describe() {
	if !s.rec.Foreground {
		s.rec.PinPath = s.m.pinDir(s.rec.Name)
	}
	for i := range s.objs.programs {
		p := &s.objs.programs[i]
		p.Pin = s.pin(pinPrograms, p.Name)
		s.rec.Programs = append(s.rec.Programs, p.InstanceProgram)
	}
	for i := range s.objs.maps {
		m := &s.objs.maps[i]
		m.Pin = s.pin(pinMaps, m.Name)
		s.rec.Maps = append(s.rec.Maps, m.InstanceMap)
	}
	for i, pl := range s.plan.placements {
		if pl.link.Via == viaLink {
			pl.link.Pin = s.pin(pinLinks, fmt.Sprintf("%03d-%s", i, pl.link.Program))
		}
		s.rec.Links = append(s.rec.Links, pl.link)
	}
}

// pin is where something is pinned, "" in a foreground run.
func (s *starting) pin(folder, name string) string {
	if s.rec.Foreground {
		return ""
	}
	return filepath.Join(s.rec.PinPath, folder, pinName(name))
}

// pinObjects makes the pin folder and pins programs and maps.
func (s *starting) pinObjects(ctx context.Context) error {
	if s.rec.Foreground {
		return nil
	}
	if err := s.m.at(ctx, "folder"); err != nil {
		return err
	}
	for _, folder := range pinFolders() {
		if err := os.MkdirAll(filepath.Join(s.rec.PinPath, folder), 0o700); err != nil {
			return fmt.Errorf("making the folder for pins: %w", err)
		}
	}
	for _, p := range s.objs.programs {
		if err := s.m.at(ctx, "pin program "+p.Name); err != nil {
			return err
		}
		if err := p.prog.Pin(p.Pin); err != nil {
			return fmt.Errorf("pinning program %q: %w", p.Name, err)
		}
	}
	for _, m := range s.objs.maps {
		if err := s.m.at(ctx, "pin map "+m.Name); err != nil {
			return err
		}
		if err := m.m.Pin(m.Pin); err != nil {
			return fmt.Errorf("pinning map %q: %w", m.Name, err)
		}
	}
	return s.openMaps(ctx)
}
