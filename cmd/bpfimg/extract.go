// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func extractCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "extract",
		Usage:     "write the objects of an image into files",
		ArgsUsage: "REFERENCE [OBJECT…]",
		Flags: trustFlags(
			&cli.StringFlag{Name: "directory", Aliases: []string{"C"}, Usage: "folder to write to, made if it is missing", DefaultText: "the current one"},
			&cli.BoolFlag{Name: "to-stdout", Aliases: []string{"O"}, Usage: "write the one object to standard output"},
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "replace files that are there"},
			pullFlag(pullMissing), platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag(),
		),
		Action: withSession(term, (*session).extract),
	}
}

// extraction is what `extract -o json` prints.
type extraction struct {
	Reference string `json:"reference"`
	// Digest of the platform's image.
	Digest string `json:"digest"`
	// Verified says that somebody who is trusted signed it: Signers.
	Verified bool             `json:"verified"`
	Signers  []schemas.Signer `json:"signers"`
	Files    []extractedFile  `json:"files"`
}

type extractedFile struct {
	Path   string `json:"path"`
	Digest string `json:"digest"`
	Size   int    `json:"size"`
}

func (s *session) extract() error {
	if s.c.NArg() == 0 {
		return usagef("extract: want an image, and perhaps which of its objects")
	}
	if s.c.Bool("to-stdout") && (s.c.String("directory") != "" || s.json) {
		return usagef("extract: --to-stdout contradicts --directory and -o json")
	}
	ctx, cancel := s.deadline()
	defer cancel()
	result, objects, err := s.objects(ctx, s.c.Args().First())
	if err != nil {
		return err
	}
	if objects, err = named(objects, s.c.Args().Tail()); err != nil {
		return err
	}
	if !result.Verified {
		s.term.notice("warning: nobody's signature was checked: give --key cosign.pub or --policy policy.yaml")
	}
	if s.c.Bool("to-stdout") {
		return s.objectToStdout(objects)
	}
	result.Files, err = writeObjects(s.c.String("directory"), objects, s.c.Bool("force"))
	if err != nil {
		return fmt.Errorf("extracting %s: %w", result.Reference, err)
	}
	return s.print(result, func() error {
		for _, f := range result.Files {
			if _, err := fmt.Fprintln(s.term.out, safe(f.Path), f.Digest); err != nil {
				return err
			}
		}
		return nil
	})
}

// objects reads the image arg names. With something to judge it by, the bytes are
// those that were verified, of the store or the registry as for `run`; without, it
// is looked for as `inspect` does.
func (s *session) objects(ctx context.Context, arg string) (extraction, []pull.Object, error) {
	result := extraction{Signers: []schemas.Signer{}}
	l, err := parseLocation(arg)
	if err != nil {
		return result, nil, err
	}
	result.Reference = l.String()
	if !s.trustGiven() {
		img, err := s.unverified(ctx, l)
		if err != nil {
			return result, nil, err
		}
		result.Digest = img.Manifest.Descriptor.Digest.String()
		return result, img.Objects, nil
	}
	if l.Transport != image.TransportRegistry {
		return result, nil, usagef("extract: signatures are checked of images with a name; `bpfimg copy %s store:NAME` first, and extract NAME", l)
	}
	j, err := s.newJudge(l.Reference)
	if err != nil {
		return result, nil, err
	}
	f, err := s.fetch(ctx, l.Reference, j)
	if err != nil {
		return result, nil, err
	}
	result.Digest, result.Verified, result.Signers = f.verified.Digest(), true, f.verified.Signers()
	return result, f.verified.Objects(), nil
}

// unverified reads what l names, where --pull allows.
func (s *session) unverified(ctx context.Context, l image.Location) (img *pull.Image, err error) {
	mode, err := oneOf(s.c, "pull", pullAlways, pullMissing, pullNever)
	if err != nil {
		return nil, err
	}
	read := s.fetchTo(ctx, &img)
	if l.Transport != image.TransportRegistry || mode == pullMissing {
		err = s.wherever(ctx, l, read)
		return img, err
	}
	if mode == pullNever {
		l.Transport = image.TransportStore
	}
	places, err := s.places(nil)
	if err != nil {
		return nil, err
	}
	err = readAt(ctx, places, l, read)
	return img, err
}

// named picks objects by the names they have in the image; all without any.
func named(objects []pull.Object, names []string) ([]pull.Object, error) {
	if len(names) == 0 {
		return objects, nil
	}
	var picked []pull.Object
	for _, name := range names {
		i := slices.IndexFunc(objects, func(o pull.Object) bool { return o.File == name })
		if i < 0 {
			return nil, fmt.Errorf("the image has no object %q, only %s: %w", name, strings.Join(objectNames(objects), ", "), image.ErrNotFound)
		}
		picked = append(picked, objects[i])
	}
	return picked, nil
}

func objectNames(objects []pull.Object) []string {
	var names []string
	for _, o := range objects {
		names = append(names, o.File)
	}
	return names
}

func (s *session) objectToStdout(objects []pull.Object) error {
	if len(objects) != 1 {
		return usagef("extract --to-stdout: the image has several objects, name one: %s", strings.Join(objectNames(objects), ", "))
	}
	if s.term.onScreen() {
		return usagef("extract --to-stdout: an object is no text for a terminal; redirect the output")
	}
	return s.term.bytes(objects[0].Bytes)
}
