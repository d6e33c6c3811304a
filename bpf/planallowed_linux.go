// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"slices"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// allowed holds the plan against the limits of the policy: what verification has
// not seen, because flags and labels decide it. Errors wrap
// [verify.ErrNotTrusted].
func (p *plan) allowed() error {
	var maps []schemas.Map
	for _, o := range p.objects {
		maps = append(maps, inspect.Maps(o.spec)...)
		for _, d := range o.desc.Programs {
			if !slices.Contains(o.programs, d.Name) {
				continue
			}
			if err := p.verified.AllowedProgram(d); err != nil {
				return err
			}
		}
	}
	if err := p.verified.AllowedMaps(maps); err != nil {
		return err
	}
	for _, pl := range p.placements {
		if err := p.verified.AllowedHook(pl.link.Program, pl.link.Hook); err != nil {
			return err
		}
	}
	return nil
}

// allowedPlace does so for one target, once the hook has found it.
func (p *plan) allowedPlace(pl *placement) error {
	return p.verified.AllowedPlace(pl.link.Program, pl.link.Hook, pl.link.Target)
}

// Recheck holds what an instance runs against the limits that v, its image
// verified anew, has now: places, and sizes of maps. Errors wrap
// [verify.ErrNotTrusted].
func (m *Manager) Recheck(v *verify.Verified, rec schemas.Instance) error {
	for _, l := range rec.Links {
		if err := v.AllowedPlace(l.Program, l.Hook, l.Target); err != nil {
			return err
		}
	}
	p, err := parsePlan(v)
	if err != nil {
		return err
	}
	if err := p.configure(RunOptions{MaxEntries: rec.MaxEntries}); err != nil {
		return err
	}
	for _, o := range p.objects {
		for i := range o.desc.Programs {
			if loaded := programOf(&rec, o.desc.Programs[i].Name); loaded != nil {
				o.desc.Programs[i].Type = loaded.Type
				o.programs = append(o.programs, loaded.Name)
			}
		}
	}
	return p.allowed()
}
