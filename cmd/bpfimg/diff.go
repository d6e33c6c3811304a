// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect/compare"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
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
	// BTF that differs, by the kernel it is for.
	BTF []entryChange `json:"btf"`
	// Labels that differ, of an artifact its annotations; those that repeat what
	// the objects say are left out.
	Labels []entryChange `json:"labels"`
}

// entryChange is an entry of a table that differs; "" is none.
type entryChange struct {
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
	r := diffResult{
		Old: diffSideOf(old, a), New: diffSideOf(updated, b), Result: compare.Versions(before, after),
		BTF: entryChanges(kernelBTFs(a), kernelBTFs(b)), Labels: entryChanges(labels(a), labels(b)),
	}
	r.Same = r.Result.Same() && len(r.BTF)+len(r.Labels) == 0
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
	desc, _, err := verify.Describe(img)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", arg, err)
	}
	v.Place(desc.Objects)
	return v, img, nil
}

func diffSideOf(arg string, img *pull.Image) diffSide {
	return diffSide{Image: arg, Digest: img.Manifest.Descriptor.Digest.String(), Format: string(img.Format)}
}

// derived are the labels and annotations that say what is compared by itself.
var derived = []string{schemas.LabelPrograms, schemas.LabelMaps, schemas.LabelHooks, schemas.LabelDescription, schemas.AnnotationPlatform}

// labels are what was said of the image besides.
func labels(img *pull.Image) map[string]string {
	all := img.Labels
	if img.Format == pull.FormatArtifact { // which has no labels
		all = img.Annotations
	}
	out := maps.Clone(all)
	maps.DeleteFunc(out, func(name, _ string) bool { return slices.Contains(derived, name) })
	return out
}

// kernelBTFs are the digests of the types that the image brings, by kernel.
func kernelBTFs(img *pull.Image) map[string]string {
	out := map[string]string{}
	for _, b := range img.BTF {
		for _, kernel := range b.Kernels {
			out[kernel+" "+b.Arch] = b.Digest
		}
	}
	return out
}

func entryChanges(before, after map[string]string) []entryChange {
	out := []entryChange{}
	for name, old := range before {
		if updated, kept := after[name]; !kept || updated != old {
			out = append(out, entryChange{name, old, updated})
		}
	}
	for name, updated := range after {
		if _, kept := before[name]; !kept {
			out = append(out, entryChange{name, "", updated})
		}
	}
	slices.SortFunc(out, func(a, b entryChange) int { return strings.Compare(a.Name, b.Name) })
	return out
}
