// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// Values of instanceCheck.Check.
const (
	checkOK      = "ok"
	checkDenied  = "DENIED"
	checkUnknown = "unknown"
)

// instanceCheck is what `bpfimg ps --check` says of an instance.
type instanceCheck struct {
	Check string `json:"check"`
	// Reason says why it is denied, or cannot be judged.
	Reason string `json:"checkReason,omitempty"`
}

func (c instanceCheck) text() string {
	if c.Reason == "" {
		return c.Check
	}
	return c.Check + ": " + c.Reason
}

// checkedStatus is a row of the JSON.
type checkedStatus struct {
	bpf.Status
	instanceCheck
}

// psCheck judges what runs by the policy as it is now.
func (s *session) psCheck(manager *bpf.Manager, list []bpf.Status) error {
	file := s.c.String("policy")
	if file == "" {
		return usagef("ps --check: give --policy FILE (BPFIMG_POLICY)")
	}
	policy, err := verify.LoadPolicy(file)
	if err != nil {
		return err
	}
	store, err := s.store()
	if err != nil {
		return err
	}
	checker := &recheck{s: s, manager: manager, store: store, policy: policy}
	checks, rows, denied := make([]instanceCheck, 0, len(list)), make([]checkedStatus, 0, len(list)), 0
	for _, st := range list {
		c := checker.instance(st.Instance)
		if c.Check == checkDenied {
			denied++
		}
		checks, rows = append(checks, c), append(rows, checkedStatus{st, c})
	}
	if err := s.print(rows, func() error { return showInstances(s.term, list, checks) }); err != nil {
		return err
	}
	if denied > 0 {
		return fmt.Errorf("%w any more under policy %s: %d of %d instances: `bpfimg stop` or `bpfimg update` them", verify.ErrNotTrusted, file, denied, len(list))
	}
	return nil
}

// recheck judges instances.
type recheck struct {
	s       *session
	manager *bpf.Manager
	store   image.Source
	policy  *verify.Policy
}

// instance judges the version that counts and, after an update that was killed,
// the other one, which is in the kernel too.
func (r *recheck) instance(rec schemas.Instance) instanceCheck {
	c := r.version(rec)
	if c.Check != checkDenied && rec.Update != nil {
		if other := r.version(rec.Update.Other); other.Check != checkOK {
			return other
		}
	}
	return c
}

func (r *recheck) version(rec schemas.Instance) instanceCheck {
	ref, err := image.ParseReference(rec.Reference)
	if err != nil {
		return instanceCheck{checkUnknown, "its record names no image"}
	}
	known, err := true, r.stored(ref.Name(), rec)
	if errors.Is(err, errNotStored) {
		known, err = verify.Recorded(rec, ref.Name(), r.policy, verify.Options{})
	}
	switch {
	case errors.Is(err, verify.ErrNotTrusted):
		return instanceCheck{checkDenied, err.Error()}
	case err != nil:
		return instanceCheck{checkUnknown, err.Error()}
	case !known:
		return instanceCheck{checkUnknown, "the rule also asks for what only the image can show, and it is not in the local store: `bpfimg pull` it"}
	}
	return instanceCheck{Check: checkOK}
}

// errNotStored: the local store has not what runs.
var errNotStored = errors.New("not in the local store")

// stored judges by the image in the local store.
func (r *recheck) stored(name string, rec schemas.Instance) error {
	root := rec.IndexDigest
	if root == "" {
		root = rec.Digest
	}
	ref, err := image.ParseReference(name + "@" + root)
	if err != nil {
		return err
	}
	img, err := pull.Fetch(r.s.c.Context, r.store, ref, pull.Options{})
	var platform *pull.PlatformError
	switch {
	case errors.Is(err, image.ErrNotFound), errors.Is(err, image.ErrDigestMismatch), errors.As(err, &platform):
		return errNotStored
	case err != nil:
		return err
	case img.Manifest.Descriptor.Digest.String() != rec.Digest: // another platform was asked for
		return errNotStored
	}
	v, err := verify.CheckWith(r.s.c.Context, img, r.policy, verify.Options{Verdicts: r.s.verdicts(), Log: r.s.log})
	if err != nil {
		return err
	}
	return r.manager.Recheck(v, rec)
}
