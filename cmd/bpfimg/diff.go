// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect/compare"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

// errDiffer ends `diff --exit-code` when the versions differ.
var errDiffer = errors.New("the two versions differ")

func diffCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "show what changed between two versions: programs, hooks, helpers, instructions, maps, variables",
		ArgsUsage: "OLD NEW  (each FILE.o | IMAGE)",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "instructions", Usage: "show the instructions that changed"},
			&cli.BoolFlag{Name: "exit-code", Usage: "end with status 1 when anything differs"},
			platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() != 2 {
				return usagef("diff: want two images or object files, the old one first, got %d arguments", s.c.NArg())
			}
			return s.diff(s.c.Args().Get(0), s.c.Args().Get(1))
		}),
	}
}

// diffSide is one of the two versions in `diff -o json`.
type diffSide struct {
	Image  string `json:"image"`
	Digest string `json:"digest,omitempty"`
	Format string `json:"format,omitempty"`
}

// diffResult is what `diff -o json` prints.
type diffResult struct {
	Old  diffSide `json:"old"`
	New  diffSide `json:"new"`
	Same bool     `json:"same"`
	compare.Result
	// Labels that differ; those that repeat what the objects say are left out.
	Labels []labelChange `json:"labels"`
}

// labelChange is a label that differs; "" is none.
type labelChange struct {
	Name string `json:"name"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

func (s *session) diff(old, updated string) error {
	before, a, err := s.version(old)
	if err != nil {
		return err
	}
	after, b, err := s.version(updated)
	if err != nil {
		return err
	}
	r := diffResult{Old: diffSideOf(old, a), New: diffSideOf(updated, b), Result: compare.Versions(before, after), Labels: labelChanges(a.Labels, b.Labels)}
	r.Same = r.Result.Same() && len(r.Labels) == 0
	if err := s.print(r, func() error { return s.showDiff(r) }); err != nil {
		return err
	}
	if s.c.Bool("exit-code") && !r.Same {
		return errDiffer
	}
	return nil
}

// version reads one side.
func (s *session) version(arg string) (*compare.Version, *pull.Image, error) {
	ctx, cancel := s.deadline()
	defer cancel()
	img, err := s.look(ctx, arg)
	if err != nil {
		return nil, nil, err
	}
	v := &compare.Version{}
	for _, o := range img.Objects {
		if err := v.Add(o.File, o.Bytes); err != nil {
			return nil, nil, fmt.Errorf("reading %s: %w", arg, err)
		}
	}
	return v, img, nil
}

func diffSideOf(arg string, img *pull.Image) diffSide {
	return diffSide{Image: arg, Digest: img.Manifest.Descriptor.Digest.String(), Format: string(img.Format)}
}

// derived are the labels that say what the objects say.
var derived = []string{schemas.LabelPrograms, schemas.LabelMaps, schemas.LabelHooks, schemas.LabelDescription}

func labelChanges(before, after map[string]string) []labelChange {
	out := []labelChange{}
	for name, old := range before {
		if updated := after[name]; updated != old {
			out = append(out, labelChange{name, old, updated})
		}
	}
	for name, updated := range after {
		if _, kept := before[name]; !kept {
			out = append(out, labelChange{name, "", updated})
		}
	}
	out = slices.DeleteFunc(out, func(c labelChange) bool { return slices.Contains(derived, c.Name) })
	slices.SortFunc(out, func(a, b labelChange) int { return strings.Compare(a.Name, b.Name) })
	return out
}
