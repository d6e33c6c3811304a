// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func inspectCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show the programs and maps of an object file or an image",
		ArgsUsage: "FILE.o | REFERENCE | -",
		Flags:     []cli.Flag{platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()},
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() != 1 {
				return usagef("inspect: want one object file or image reference, got %d arguments", s.c.NArg())
			}
			return s.inspect(s.c.Args().First())
		}),
	}
}

// inspection is what `inspect -o json` prints.
type inspection struct {
	Reference string `json:"reference,omitempty"`
	Digest    string `json:"digest,omitempty"`
	// Index is the digest of the index the image is in, Platforms what that lists
	// and Platform the one that was chosen; absent if it is in none.
	Index     string                 `json:"index,omitempty"`
	Platform  string                 `json:"platform,omitempty"`
	Platforms []pull.PlatformOfIndex `json:"platforms,omitempty"`
	Format    string                 `json:"format,omitempty"`
	// Notes say what of an image of another tool is not used.
	Notes  []string          `json:"notes,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of an artifact, which has no labels; those of an image repeat
	// its labels.
	Annotations map[string]string `json:"annotations,omitempty"`
	Objects     []schemas.Object  `json:"objects"`
	BTF         []inspectedBTF    `json:"btf,omitempty"`
}

func (s *session) inspect(arg string) error {
	result, err := s.inspection(arg)
	if err != nil {
		return err
	}
	return s.print(result, func() error { return showInspection(s.term, result) })
}

// looksLikeFile tells a file from a reference: it is there, or its spelling can
// only mean a file.
func looksLikeFile(arg string) bool {
	if _, err := os.Stat(arg); err == nil {
		return true
	}
	return strings.HasSuffix(arg, ".o") || strings.HasPrefix(arg, ".") || filepath.IsAbs(arg)
}

// inspection describes a file, or an image from wherever it is. What it says is
// what a node goes by: read from the objects themselves, with the image's attach
// defaults; labels are given as such.
func (s *session) inspection(arg string) (inspection, error) {
	ctx, cancel := s.deadline()
	defer cancel()
	img, err := s.look(ctx, arg)
	if err != nil {
		return inspection{}, err
	}
	result := inspection{
		Digest: img.Manifest.Descriptor.Digest.String(),
		Format: string(img.Format), Notes: img.Notes, Labels: img.Labels,
	}
	if img.Format != "" { // no mere file
		result.Reference = arg
	}
	if result.Platforms = img.Platforms(); result.Platforms != nil {
		result.Index, result.Platform = img.Root.Descriptor.Digest.String(), img.Platform()
	}
	if img.Format == pull.FormatArtifact {
		result.Annotations = img.Annotations
	}
	desc, warnings, err := verify.Describe(img)
	if err != nil {
		return result, fmt.Errorf("inspecting %s: %w", arg, err)
	}
	result.Objects, result.Notes = desc.Objects, append(result.Notes, warnings...)
	result.BTF = inspectBTF(img.BTF)
	return result, nil
}
