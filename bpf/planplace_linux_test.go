// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// finding is a hook whose prepare finds out what the target really is, as those of
// cgroups and files do.
type finding struct {
	hook
	found string
}

func (f finding) prepare(_ context.Context, _ *host, p *placement) error {
	p.link.Target = f.found
	return nil
}

// TestAllowedPlace: the policy judges the place that the hook has found, not the one
// that somebody wrote.
func TestAllowedPlace(t *testing.T) {
	const wrote = "/cg/ours/job"
	for _, tt := range []struct {
		name, limits, found string
		want                string // "" when it may be attached
	}{
		{"no limits", "allow: {types: [xdp]}", "/cg/theirs", ""},
		{"any target of the hook", "allow: {hooks: [xdp]}", "/cg/theirs", ""},
		{"within the pattern", "allow: {hooks: ['xdp:/cg/ours/*']}", wrote, ""},
		{"found elsewhere", "allow: {hooks: ['xdp:/cg/ours/*']}", "/cg/theirs", `program "xdp_count" may not be attached to "xdp:/cg/theirs"`},
		{"found within", "allow: {hooks: ['xdp:/cg/theirs']}", "/cg/theirs", ""},
		{"another target", "allow: {hooks: ['xdp:/cg/yours', 'tc:/cg/ours/*']}", wrote, `may not be attached to "xdp:/cg/ours/job"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &starting{plan: &plan{verified: verifiedUnder(t, tt.limits, objCounter)}, rec: &schemas.Instance{}}
			err := s.prepareHook(t.Context(), &placement{
				hook: finding{found: tt.found},
				link: schemas.InstanceLink{Program: "xdp_count", Hook: "xdp", Target: wrote},
			})
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, verify.ErrNotTrusted) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestPlaceNotAllowed: neither run nor update attaches where the policy does not
// allow it, and both refuse before they load anything.
func TestPlaceNotAllowed(t *testing.T) {
	b := newBench(t)
	image := func() *verify.Verified {
		return verifiedUnder(t, "allow: {hooks: ['xdp:"+peer+"']}", objCounter)
	}
	const refused = `may not be attached to "xdp:` + dev + `"`
	noLoad := func(step string) error {
		t.Errorf("step %q is reached", step)
		return nil
	}
	b.opts.step = noLoad
	b.reopen()
	_, err := b.Run(t.Context(), image(), RunOptions{Name: "placed", Iface: dev})
	wantError(t, err, verify.ErrNotTrusted, refused)
	b.checkGone(schemas.Instance{Name: "placed"})

	b.disarm()
	rec := b.start(image(), RunOptions{Name: "placed", Iface: peer})
	b.opts.step = noLoad
	b.reopen()
	_, err = b.Update(t.Context(), "placed", image(), UpdateOptions{Attach: attachments(t, "xdp_count=xdp:"+dev)})
	wantError(t, err, verify.ErrNotTrusted, refused)
	b.disarm()
	b.checkIntact(rec)
	b.stop(rec)
}
