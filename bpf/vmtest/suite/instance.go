// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
)

// exitKernel is bpfimg's exit code for what the kernel refuses or lacks
// (docs/commands.md).
const exitKernel = 5

// running is an instance that bpfimg has started.
type running struct {
	record schemas.Instance
	stop   func(context.Context) error
}

// start runs the row's image and reads the record that bpfimg prints.
func (g *engine) start(ctx context.Context, e *env, r row, foreground bool) (*running, error) {
	attach, err := e.expand(r.attach)
	if err != nil {
		return nil, err
	}
	flags, err := e.expand(r.flags)
	if err != nil {
		return nil, err
	}
	args := []string{"run", "--key", g.key, "-o", "json"}
	for _, a := range attach {
		args = append(args, "--attach", a)
	}
	args = append(args, flags...)
	image := g.address + "/testdata/" + r.object + ":v1"
	if foreground {
		if !slices.Contains(flags, "--foreground") {
			args = append(args, "--foreground")
		}
		return g.hold(ctx, append(args, image))
	}
	out, err := g.call(ctx, append(args, image)...)
	if err != nil {
		return nil, err
	}
	in := &running{}
	if err := json.Unmarshal(out, &in.record); err != nil {
		return nil, fmt.Errorf("bpfimg run: %w: %s", err, out)
	}
	in.stop = func(ctx context.Context) error {
		_, err := g.call(ctx, "stop", in.record.Name)
		return err
	}
	return in, nil
}

// hold starts a foreground run; stop interrupts it and waits for its end.
func (g *engine) hold(ctx context.Context, args []string) (*running, error) {
	p, stdout, err := g.begin(ctx, args...)
	if err != nil {
		return nil, err
	}
	in := &running{stop: func(context.Context) error {
		return errors.Join(p.Interrupt(), ended(p, args))
	}}
	// The record is complete when everything is attached, and then the process
	// goes on: only its end closes the pipe.
	if err := json.NewDecoder(stdout).Decode(&in.record); err != nil {
		if waitErr := ended(p, args); waitErr != nil {
			return nil, waitErr
		}
		return nil, fmt.Errorf("bpfimg %s printed no record: %w", strings.Join(args, " "), err)
	}
	return in, nil
}

// lackError says that the kernel lacks what a row needs.
type lackError struct {
	// what it is, without this kernel's version.
	what string
	// foreground: a foreground run can do without.
	foreground bool
}

func (e *lackError) Error() string { return "this kernel lacks it: " + e.what }

// lacks are the forms in which bpfimg says that a kernel lacks something (see
// [bpf.UnsupportedError] and the answers to EPERM); the groups are what is worth
// repeating.
var lacks = []*regexp.Regexp{
	regexp.MustCompile(`(?:^|: )([^:\n]*: needs Linux \S+ or newer), this is `),
	regexp.MustCompile(`this kernel \([^)]*\) was (built without [^\n]*)`),
	regexp.MustCompile(`via=dispatcher is not possible: ([^:\n]*)`),
	regexp.MustCompile(`([^:\n]* programs are not permitted here|programs of type \S+ are not permitted here)`),
}

// lackOf reads what the kernel lacks out of bpfimg's answer, nil when the answer
// says no such thing, or with another exit code than it should.
func lackOf(err error) *lackError {
	var call *callError
	if !errors.As(err, &call) || call.code != exitKernel {
		return nil
	}
	for _, re := range lacks {
		if m := re.FindStringSubmatch(call.stderr); m != nil {
			return &lackError{
				what:       strings.TrimSpace(m[1]),
				foreground: strings.Contains(call.stderr, "needs Linux 5.15 ") && strings.Contains(call.stderr, "; --foreground "),
			}
		}
	}
	return nil
}
