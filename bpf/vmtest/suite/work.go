// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

// title names a row for people.
func (r row) title() string {
	if r.variant == "" {
		return r.hook
	}
	return r.hook + ", " + r.variant
}

// work puts a row to work: as it is, and in the foreground where the kernel can
// hold it in no other way. detail is what the kernel lacks, if it does.
func (g *engine) work(ctx context.Context, r row) (outcome vmtest.Outcome, detail string, err error) {
	err = g.attempt(ctx, r, r.foreground)
	var lack *lackError
	if errors.As(err, &lack) && lack.foreground && !r.foreground {
		detail = lack.what
		if err = g.attempt(ctx, r, true); err == nil {
			return vmtest.WorksForeground, detail, nil
		}
		lack = nil
	}
	switch {
	case errors.As(err, &lack):
		return vmtest.Lacks, lack.what, nil
	case errors.Is(err, errDevice):
		return vmtest.NeedsDevice, "", nil
	case err != nil:
		return vmtest.Failed, "", err
	case r.foreground:
		return vmtest.WorksForeground, "", nil
	}
	return vmtest.Works, "", nil
}

// attempt runs one row once. The error is a [lackError] when the kernel lacks
// something and nothing was loaded.
func (g *engine) attempt(ctx context.Context, r row, foreground bool) (err error) {
	if left := g.left(ctx); left != nil {
		return fmt.Errorf("before the row: %w", left)
	}
	e, err := g.newEnv()
	if err != nil {
		return err
	}
	defer func() { err = keepLack(err, e.close()) }()
	var setupErr error
	if r.setup != nil {
		if setupErr = r.setup(e); errors.Is(setupErr, errDevice) {
			return setupErr
		}
	}
	before, err := network()
	if err != nil {
		return err
	}
	in, err := g.start(ctx, e, r, foreground)
	if err != nil {
		return g.refused(ctx, err, setupErr)
	}
	e.instance = in.record
	err = setupErr
	if err == nil {
		err = g.observe(ctx, e, r)
	}
	if err = errors.Join(err, in.stop(ctx)); err != nil {
		return errors.Join(err, g.clear(ctx))
	}
	after, err := network()
	if err == nil && after != before {
		err = fmt.Errorf("the network is not as it was before:\n%safter:\n%s", before, after)
	}
	if err = errors.Join(err, goneOf(ctx, in.record), g.left(ctx)); err != nil {
		return errors.Join(err, g.clear(ctx)) // the next row shall not suffer
	}
	return nil
}

// refused judges a run that failed: a kernel that lacks something, which the run
// found out before it loaded anything, or a failure. That bpfimg has an answer
// counts more than that the row could not prepare: a kernel without a kind of
// device cannot make one either.
func (g *engine) refused(ctx context.Context, err, setupErr error) error {
	left := g.left(ctx)
	lack := lackOf(err)
	if lack == nil || left != nil {
		return errors.Join(setupErr, err, left, g.clear(ctx))
	}
	return lack
}

// keepLack joins errors. One more makes a failure of a [lackError] and of a missing
// device, of which only the words are kept.
func keepLack(err, more error) error {
	switch {
	case more == nil:
		return err
	case err == nil:
		return fmt.Errorf("cleaning up: %w", more)
	}
	return errors.Join(errors.New(err.Error()), fmt.Errorf("cleaning up: %w", more))
}

// observe has the event happen and looks for its effect.
func (g *engine) observe(ctx context.Context, e *env, r row) error {
	if err := g.listed(ctx, e); err != nil {
		return err
	}
	var before uint64
	var err error
	if r.counter != "" && !r.once {
		if before, err = e.count(r.counter); err != nil {
			return err
		}
	}
	if r.event != nil {
		if err := r.event(e); err != nil {
			return fmt.Errorf("making the event: %w", err)
		}
	}
	if r.counter != "" {
		want := before + max(r.atLeast, 1)
		err := poll(ctx, func() error {
			after, err := e.count(r.counter)
			if err == nil && after < want {
				err = fmt.Errorf("map %s counted %d before the event and %d after it, want %d", r.counter, before, after, want)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if r.seen != nil {
		if err := r.seen(e); err != nil {
			return fmt.Errorf("looking for the effect: %w", err)
		}
	}
	if r.counter == "" && r.seen == nil {
		return errors.New("the row says no effect to look for")
	}
	return nil
}

// status is what this reads of an instance that ps lists. It is not package bpf's own:
// that links all of bpfimg, and every process of the suite's, of which rows start some,
// would take as long to start.
type status struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`
	Problems []string `json:"problems"`
}

// listed checks that ps knows the one instance, and has no problem with it.
func (g *engine) listed(ctx context.Context, e *env) error {
	out, err := g.call(ctx, "ps", "-o", "json")
	if err != nil {
		return err
	}
	var list []status
	if err := json.Unmarshal(out, &list); err != nil {
		return fmt.Errorf("bpfimg ps: %w: %s", err, out)
	}
	if len(list) != 1 || list[0].Name != e.instance.Name || list[0].State != "running" || len(list[0].Problems) > 0 {
		return fmt.Errorf("bpfimg ps does not list one running instance without problems: %s", out)
	}
	return nil
}
