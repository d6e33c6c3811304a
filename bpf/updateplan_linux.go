// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// place is where an update wants a program: an attachment with all its options,
// and whether the person named it, now or when the instance was run.
type place struct {
	schemas.Attachment
	asked bool
}

// newUpdatePlan is newPlan with what the instance's record says about places.
func newUpdatePlan(v *verify.Verified, old *schemas.Instance, opts UpdateOptions) (*plan, error) {
	places, err := updatePlaces(v.Description(), old, opts.Attach)
	if err != nil {
		return nil, err
	}
	run := RunOptions{Name: old.Name, Set: opts.Set, MaxEntries: opts.MaxEntries}
	for _, name := range slices.Sorted(maps.Keys(places)) {
		run.Attach = append(run.Attach, places[name].Attachment)
	}
	p, err := newPlan(v, run)
	if err != nil {
		return nil, err
	}
	for _, pl := range p.placements {
		if where, ok := places[pl.link.Program]; ok {
			// The record is complete: nothing of the image's defaults is missing in it.
			pl.link.Options = maps.Clone(where.Options)
			pl.given, pl.link.Asked = where.asked, where.asked
		}
	}
	return p, nil
}

// updatePlaces says where the programs of an image go. Those it leaves out go where
// a run would attach them.
func updatePlaces(desc schemas.Description, old *schemas.Instance, list []schemas.Attachment) (map[string]place, error) {
	programs := placeable(desc)
	var names []string
	for _, d := range programs {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	given, err := byProgram(list, names)
	if err != nil {
		return nil, err
	}
	places := map[string]place{}
	for _, d := range programs {
		var asked *schemas.Attachment
		if a, ok := given[d.Name]; ok {
			asked = &a
		}
		if where, ok := updatePlace(d, asked, old); ok {
			places[d.Name] = where
		}
	}
	return places, nil
}

// placeable are the programs of an image, and its struct_ops maps, which are
// attached as they are and speak for the programs in them.
func placeable(desc schemas.Description) []schemas.Program {
	var list []schemas.Program
	for _, o := range desc.Objects {
		list = append(list, o.Programs...)
		for _, mp := range o.Maps {
			if mp.Type == hookStructOps {
				list = append(list, schemas.Program{Name: mp.Name, Hook: hookStructOps})
			}
		}
	}
	return list
}

// updatePlace decides for one program: what the person asks for now, else what
// they asked for then, else what the new image says. Options in effect stay as
// long as hook and target do.
func updatePlace(d schemas.Program, asked *schemas.Attachment, rec *schemas.Instance) (place, bool) {
	i := slices.IndexFunc(rec.Links, func(l schemas.InstanceLink) bool { return l.Program == d.Name })
	if i < 0 {
		if asked != nil {
			return placeAs(*asked, d, nil, true), true
		}
		// Loaded without being attached is what somebody asked for.
		loaded := d.Type != "" && d.Type != hookStructOps && programOf(rec, d.Name) != nil
		loaded = loaded || d.Hook == hookStructOps && slices.ContainsFunc(rec.Maps, func(mp schemas.InstanceMap) bool { return mp.Name == d.Name })
		return place{Attachment: schemas.Attachment{Program: d.Name, Hook: hookNone}}, loaded
	}
	old := &rec.Links[i]
	if asked != nil {
		return placeAs(*asked, d, old, true), true
	}
	if _, info, err := findHook(old.Hook); err != nil || (d.Type != "" && !slices.Contains(info.Programs, d.Type)) {
		return place{}, false
	}
	if old.Asked || d.Hook == "" {
		return placeAs(schemas.Attachment{Hook: old.Hook, Target: old.Target}, d, old, old.Asked), true
	}
	return placeAs(schemas.Attachment{Hook: d.Hook, Target: d.Target, Options: effective(d.Options, *old)}, d, old, false), true
}

// placeAs completes a with the target and the options in effect of the old
// attachment, unless it says otherwise, and else with the image's defaults.
func placeAs(a schemas.Attachment, d schemas.Program, old *schemas.InstanceLink, asked bool) place {
	if old != nil && a.Hook == old.Hook && a.Target == "" {
		a.Target = old.Target
	}
	if old == nil || a.Hook != old.Hook || a.Target != old.Target || !within(a.Options, old.Options) {
		return place{Attachment: withDefaults(a, d), asked: asked}
	}
	a.Program, a.Options = d.Name, maps.Clone(old.Options)
	return place{Attachment: a, asked: asked}
}

// effective are those of the options that mean something where the program is.
func effective(options map[string]string, l schemas.InstanceLink) map[string]string {
	if l.Hook != "xdp" || l.Via != viaLink {
		return options
	}
	options = maps.Clone(options)
	withoutOrder(options)
	return options
}

// within says whether all options are among those in effect.
func within(options, effect map[string]string) bool {
	for name, value := range options {
		if effect[name] != value {
			return false
		}
	}
	return true
}

// prepareMove has the hook look at the target, and finds the old attachment in
// which the program can be exchanged, nil when there is none.
func (u *updating) prepareMove(ctx context.Context, pl *placement) (*schemas.InstanceLink, error) {
	stays := u.candidate(pl)
	if stays != nil {
		pl.replaces = programOf(u.old, stays.Program).ID
	}
	if err := u.prepareHook(ctx, pl); err != nil {
		if stays != nil {
			return nil, err
		}
		return nil, u.besideError(pl, err)
	}
	if stays == nil || !samePlace(*stays, pl.link) {
		return nil, nil
	}
	ok, err := exchangeable(*stays, *programOf(u.old, stays.Program), pl)
	if !ok || err != nil {
		return nil, err
	}
	return stays, nil
}

// candidate is the old attachment of the same program to the same target with the
// same options, as far as they can be told before the hook has looked.
func (u *updating) candidate(pl *placement) *schemas.InstanceLink {
	var found *schemas.InstanceLink
	for i := range u.old.Links {
		l := &u.old.Links[i]
		if l.Program != pl.link.Program {
			continue
		}
		if found != nil || len(l.More) > 0 {
			return nil // several kernel links, of which one may be exchanged and the next not
		}
		found = l
	}
	if found == nil || programOf(u.old, found.Program) == nil || found.Hook != pl.link.Hook ||
		found.Target != pl.link.Target || !maps.Equal(found.Options, pl.link.Options) {
		return nil
	}
	return found
}

// samePlace compares what prepare has found out with what the record says.
func samePlace(a, b schemas.InstanceLink) bool {
	return a.Via == b.Via && a.Target == b.Target && a.Map == b.Map && a.Ifindex == b.Ifindex && a.Netns == b.Netns
}

// programOf looks a program of an instance up, nil when it has none of that name.
func programOf(rec *schemas.Instance, name string) *schemas.InstanceProgram {
	i := slices.IndexFunc(rec.Programs, func(p schemas.InstanceProgram) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &rec.Programs[i]
}

// besideError adds what to do where two programs cannot be attached side by side.
func (u *updating) besideError(pl *placement, err error) error {
	if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if !slices.ContainsFunc(u.old.Links, func(l schemas.InstanceLink) bool { return l.Target == pl.link.Target && l.Hook == pl.link.Hook }) {
		return err
	}
	return fmt.Errorf("%w: this place takes one program, and cannot exchange it for one with another name, other options or of another kind: `bpfimg stop %s`, then run the new image",
		err, u.old.Name)
}

// pinNumber is what the name of a link's pin starts with.
func pinNumber(pin string) string {
	number, _, _ := strings.Cut(filepath.Base(pin), "-")
	return number
}

// spell is the place of a link as `--attach` says it, without the program.
func spell(l schemas.InstanceLink) string {
	return schemas.Attachment{Hook: l.Hook, Target: l.Target, Options: l.Options}.String()
}

// reportAttachments writes down what becomes of each attachment.
func (u *updating) reportAttachments() {
	u.done.Attachments = nil
	for i, l := range u.rec.Links {
		change := AttachmentChange{Program: l.Program, Place: spell(l), Change: ChangeAdded}
		was := slices.IndexFunc(u.old.Links, func(o schemas.InstanceLink) bool { return o.Program == l.Program })
		switch {
		case u.stays[i] != nil:
			change.Change = ChangeSwapped
		case was >= 0 && spell(u.old.Links[was]) == spell(l):
			change.Change = ChangeReattached
			change.Why = "the kernel cannot exchange the program here in one step: the new one was attached before the old one was detached, and for a moment both saw each event"
		case was >= 0:
			change.Change = ChangeReattached
			change.Why = "it was attached to " + spell(u.old.Links[was])
		}
		u.done.Attachments = append(u.done.Attachments, change)
	}
	for _, l := range u.old.Links {
		if !slices.ContainsFunc(u.rec.Links, func(n schemas.InstanceLink) bool { return n.Program == l.Program }) {
			u.done.Attachments = append(u.done.Attachments, AttachmentChange{Program: l.Program, Place: spell(l), Change: ChangeRemoved})
		}
	}
}
