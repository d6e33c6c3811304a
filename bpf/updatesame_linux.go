// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// sameAsNow says whether an update would put in place what runs already: the same
// image and objects, with the same settings in the same places. given is what the
// person asks for, merged that with what the record adds. An instance of which
// something is missing is not what it should be; types of a kernel are not remembered,
// so that giving some is a change.
func sameAsNow(old *schemas.Instance, v *verify.Verified, given, merged UpdateOptions) (bool, error) {
	next := newRecord(old.Name, v, RunOptions{})
	if next.Digest != old.Digest || !slices.Equal(next.Objects, old.Objects) || given.FreshMaps || given.KernelBTF != nil {
		return false, nil
	}
	if !sameSettings(merged.Set, old.Variables) || !maps.Equal(merged.MaxEntries, old.MaxEntries) {
		return false, nil
	}
	wanted, err := updatePlaces(v.Description(), old, given.Attach)
	if err != nil {
		return false, err
	}
	now, err := updatePlaces(v.Description(), old, nil)
	if err != nil {
		return false, err
	}
	return maps.EqualFunc(wanted, now, samePlacement) && len(problems(old)) == 0, nil
}

func sameSettings(a, b []schemas.VariableSetting) bool {
	byName := func(list []schemas.VariableSetting) []schemas.VariableSetting {
		return slices.SortedFunc(slices.Values(list), func(a, b schemas.VariableSetting) int { return cmp.Compare(a.Name, b.Name) })
	}
	return slices.Equal(byName(a), byName(b))
}

// samePlacement compares where a program goes with where it is. That somebody names
// a place it has by default, or no longer does, is no change.
func samePlacement(a, b place) bool {
	return a.Hook == b.Hook && a.Target == b.Target && maps.Equal(a.Options, b.Options)
}

// unchanged is the outcome of such an update. The record alone is changed where it
// would say something else: by which name the image is known now, and who signed it.
func (m *Manager) unchanged(old *schemas.Instance, v *verify.Verified) (*Updated, error) {
	next := newRecord(old.Name, v, RunOptions{})
	rec := *old
	rec.Reference, rec.IndexDigest = next.Reference, next.IndexDigest
	rec.Signers, rec.Unverified = next.Signers, next.Unverified
	before, err := json.Marshal(old)
	if err != nil {
		return nil, fmt.Errorf("encoding the record of instance %q: %w", old.Name, err)
	}
	after, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("encoding the record of instance %q: %w", old.Name, err)
	}
	if !bytes.Equal(before, after) {
		if err := m.save(&rec); err != nil {
			return nil, err
		}
	}
	return &Updated{Instance: rec, Unchanged: true, Attachments: []AttachmentChange{}, Maps: []MapChange{}}, nil
}
