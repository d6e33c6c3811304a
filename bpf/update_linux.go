// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// updating is an update on its way. What it embeds is the run of the new version;
// rec there is the new version's record.
type updating struct {
	starting
	old *schemas.Instance
	// stays are the old attachments whose program is exchanged, one for each
	// placement of the plan, nil where the new program is attached beside.
	stays []*schemas.InstanceLink
	done  Updated
}

// Update replaces what an instance runs by another image: it loads the new
// version beside the old, exchanges the program of every attachment in one step
// where the kernel can do that, and else attaches the new one before it detaches
// the old. Maps whose definition is unchanged stay, with their content. If
// anything fails, or ctx ends, before all of that is done, the old version runs on
// as it was. An image that runs already, with the same settings, is left alone
// ([Updated].Unchanged). Errors: those of [Manager.Run] except [ErrExists], and
// [ErrNoInstance], and [verify.ErrNotTrusted] when an older version would follow a
// newer one.
func (m *Manager) Update(ctx context.Context, name string, v *verify.Verified, opts UpdateOptions) (*Updated, error) {
	if !validName(name) {
		return nil, noInstance(name)
	}
	if err := needBPF("updating instance " + name); err != nil {
		return nil, err
	}
	lock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	done, err := m.updateLocked(ctx, name, v, opts)
	return done, joined.Errors(err, lock.Unlock())
}

func (m *Manager) updateLocked(ctx context.Context, name string, v *verify.Verified, opts UpdateOptions) (*Updated, error) {
	old, err := m.updatable(ctx, name)
	if err != nil {
		return nil, err
	}
	if !opts.AllowDowngrade {
		if err := verify.NoRollback(old.Version, v.Description().Version); err != nil {
			return nil, fmt.Errorf("%w: give --allow-downgrade if that is meant", err)
		}
	}
	given := opts
	opts.Set, opts.MaxEntries = updateVariables(v.Description(), old, opts.Set), updateSizes(v.Description(), old, opts.MaxEntries)
	rec := newRecord(name, v, RunOptions{Set: opts.Set, MaxEntries: opts.MaxEntries})
	u := &updating{old: old, starting: starting{m: m, rec: rec}}
	if u.plan, err = newUpdatePlan(v, old, opts); err != nil {
		return nil, err
	}
	if !opts.Force {
		if same, err := sameAsNow(old, v, given, opts); err != nil {
			return nil, joined.Errors(err, u.plan.close())
		} else if same {
			if err := u.plan.close(); err != nil {
				return nil, err
			}
			return m.unchanged(old, v)
		}
	}
	if err = m.takeTypes(u.plan, opts.KernelBTF, v); err == nil {
		err = u.prepare(ctx)
	}
	if err == nil {
		err = u.load(ctx, opts)
	}
	if err = joined.Errors(err, u.plan.close()); err != nil {
		return nil, err
	}
	if err := u.change(ctx); err != nil {
		return nil, joined.Errors(err, u.undo(ctx))
	}
	// From here on the new version counts, whatever becomes of ctx.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	err = u.release()
	if err = joined.Errors(err, m.rollForward(ctx, u.committed())); err != nil {
		return nil, fmt.Errorf("the new version of instance %q is in place, but the old one is not all gone; the next command that changes the instance goes on: %w", name, err)
	}
	now, err := m.existing(name)
	if err != nil {
		return nil, err
	}
	u.done.Instance = *now
	return &u.done, nil
}

// updatable is the record of an instance that can be updated, after an earlier
// update that was interrupted is out of the way.
func (m *Manager) updatable(ctx context.Context, name string) (*schemas.Instance, error) {
	if err := m.repair(ctx, name); err != nil {
		return nil, err
	}
	rec, err := m.existing(name)
	if err != nil {
		return nil, err
	}
	why, err := m.staleness(rec)
	switch {
	case err != nil:
		return nil, err
	case why != "":
		return nil, fmt.Errorf("%w: of %q only remains are left: %s; run the new image instead", ErrNoInstance, name, why)
	case rec.Foreground:
		return nil, fmt.Errorf("%w: instance %q runs in the foreground of its process: end that and run the new image", ErrUsage, name)
	case rec.PinPath != m.pinDir(name):
		return nil, fmt.Errorf("%w: instance %q is pinned in %s: give --bpffs %s", ErrUsage, name, rec.PinPath, filepath.Dir(rec.PinPath))
	}
	return rec, nil
}

// prepare checks everything that can be checked before anything is loaded, and
// finds out which attachments stay.
func (u *updating) prepare(ctx context.Context) error {
	set, err := effectiveCapabilities()
	if err != nil {
		return err
	}
	if err := u.plan.checkCapabilities(set); err != nil {
		return err
	}
	if u.rec.BootID, err = bootID(); err != nil {
		return err
	}
	if u.access, err = sameAccess(u.old); err != nil {
		return err
	}
	u.rec.MapMode, u.rec.MapGroup = u.old.MapMode, u.old.MapGroup
	if u.host, err = u.m.host(); err != nil {
		return err
	}
	u.host.plan = u.plan
	if err := u.plan.fillKconfig(); err != nil {
		return err
	}
	if err := u.plan.supported(false); err != nil {
		return err
	}
	for _, pl := range u.plan.placements {
		stays, err := u.prepareMove(ctx, pl)
		if err != nil {
			return err
		}
		u.stays = append(u.stays, stays)
	}
	return nil
}

// load creates the new maps and loads the new programs.
func (u *updating) load(ctx context.Context, opts UpdateOptions) error {
	if err := u.m.at(ctx, "load"); err != nil {
		return err
	}
	defer u.plan.closeKept()
	if err := u.chooseMaps(opts.FreshMaps); err != nil {
		return err
	}
	for i, pl := range u.plan.placements {
		if pl.link.Map != "" && !u.kept(pl.link.Map) {
			u.stays[i] = nil // it was attached to another map of that name
		}
	}
	objs, err := u.plan.load()
	if err != nil {
		return u.m.saveLog(u.rec.Name, err)
	}
	u.objs, u.host.objs = objs, objs
	return nil
}

// change puts the new version in place. What it has done when it fails is for
// undo: whatever a step leaves in the kernel or in bpffs must be in the record
// before.
func (u *updating) change(ctx context.Context) error {
	u.describe()
	if err := u.m.at(ctx, "record"); err != nil {
		return err
	}
	if err := u.m.save(u.begun()); err != nil {
		return err
	}
	if err := u.stage(ctx); err != nil {
		return err
	}
	// What cannot be exchanged first: it fails more easily, and is easier undone.
	for i, pl := range u.plan.placements {
		if u.stays[i] != nil {
			continue
		}
		if err := u.attach(ctx, i, pl); err != nil {
			return u.besideError(pl, err)
		}
	}
	for i, pl := range u.plan.placements {
		if u.stays[i] == nil {
			continue
		}
		if err := u.m.at(ctx, "swap "+pl.link.Program); err != nil {
			return err
		}
		if err := u.swap(ctx, pl); err != nil {
			return err
		}
	}
	if err := u.m.at(ctx, "commit"); err != nil {
		return err
	}
	return u.m.save(u.committed())
}

// describe fills the new record with what is loaded and what will be attached.
func (u *updating) describe() {
	u.starting.describe()
	now := time.Now().UTC()
	u.rec.State = stateRunning
	u.rec.Started, u.rec.Updated, u.rec.PreviousDigest = u.old.Started, &now, u.old.Digest
	for i, stays := range u.stays {
		l := &u.plan.placements[i].link
		if stays != nil {
			asked, frags, options := l.Asked, l.Frags, maps.Clone(stays.Options)
			if list := l.Options[schemas.OptionProceedOn]; list != "" && l.Hook == hookTC {
				options[schemas.OptionProceedOn] = list // of the program, not of the place
			}
			*l = *stays
			l.Asked, l.Frags, l.Options = asked, frags, options
		} else if l.Pin != "" {
			l.Pin = u.pin(pinLinks, fmt.Sprintf("%s-%s", u.freeNumber(i), l.Program))
		}
		// The qdisc of a filter that goes is for one that stays or comes to remove.
		l.CreatedQdisc = l.CreatedQdisc || (l.Via == viaNetlink && madeQdisc(u.old, *l))
		u.rec.Links[i] = *l
	}
	for i := range u.rec.Maps {
		mp := &u.rec.Maps[i]
		was := slices.IndexFunc(u.old.Maps, func(o schemas.InstanceMap) bool { return o.Name == mp.Name })
		if was >= 0 && u.kept(mp.Name) {
			mp.Shared = u.old.Maps[was].Shared
		}
	}
	u.reportAttachments()
}

// freeNumber starts the name of the pin of the ith attachment: links of the new
// version have names that none of the old one has.
func (u *updating) freeNumber(i int) string {
	taken := map[string]bool{}
	for _, l := range u.old.Links {
		taken[pinNumber(l.Pin)] = true
	}
	for j := range u.rec.Links[:i] {
		taken[pinNumber(u.rec.Links[j].Pin)] = true
	}
	for n := i; ; n++ {
		if number := fmt.Sprintf("%03d", n); !taken[number] {
			return number
		}
	}
}

func madeQdisc(rec *schemas.Instance, l schemas.InstanceLink) bool {
	return slices.ContainsFunc(rec.Links, func(other schemas.InstanceLink) bool {
		return other.CreatedQdisc && other.Via == viaNetlink && other.Ifindex == l.Ifindex && other.Netns == l.Netns
	})
}

// begun is the record while the old version still counts.
func (u *updating) begun() *schemas.Instance {
	rec := *u.old
	rec.State = stateUpdating
	rec.Update = &schemas.InstanceUpdate{Other: *u.rec, Swapped: u.swapped()}
	return &rec
}

// committed is the record from when the new version counts.
func (u *updating) committed() *schemas.Instance {
	rec := *u.rec
	rec.State = stateUpdating
	rec.Update = &schemas.InstanceUpdate{Committed: true, Other: *u.old, Swapped: u.swapped()}
	return &rec
}

// swapped are the programs whose attachment stays.
func (u *updating) swapped() []string {
	var names []string
	for _, stays := range u.stays {
		if stays != nil {
			names = append(names, stays.Program)
		}
	}
	return names
}

// undo brings the old version back, in spite of an ended ctx.
func (u *updating) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	rec := u.begun()
	// Descriptors first: an open link stays attached however often it is unpinned.
	if err := joined.Errors(u.release(), u.m.rollBack(ctx, rec)); err != nil {
		return fmt.Errorf("undoing it: %w", err)
	}
	return nil
}

// swap exchanges the program of one attachment.
func (u *updating) swap(ctx context.Context, pl *placement) error {
	from, err := openProgramOf(*programOf(u.old, pl.link.Program))
	if err != nil {
		return fmt.Errorf("updating %s: opening the old program: %w", pl, err)
	}
	if err := u.m.exchange(ctx, pl.link, from, u.objs.program(pl.link.Program)); err != nil {
		return joined.Errors(swapError(pl, err), from.Close())
	}
	return from.Close()
}
