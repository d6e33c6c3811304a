// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/pull"
)

// look reads what arg names, without verifying it: an object file, which makes
// an image of one nameless object, or an image wherever it is. A plain reference
// is looked for in the local store first and then in the registry.
func (s *session) look(ctx context.Context, arg string) (*pull.Image, error) {
	if arg == stdio {
		return s.lookAtInput(ctx)
	}
	l, err := parseLocation(arg)
	switch {
	case isFolder(arg):
		return nil, usagef("%s is a folder: oci:%s is the image layout in it", arg, arg)
	case looksLikeFile(arg):
		data, err := limited.ReadFile(arg, inspect.MaxObject)
		if err != nil {
			return nil, err
		}
		return &pull.Image{Objects: []pull.Object{{File: filepath.Base(arg), Bytes: data}}}, nil
	case err != nil:
		return nil, err
	}
	var img *pull.Image
	err = s.wherever(ctx, l, s.fetchTo(ctx, &img))
	return img, err
}

// fetchTo reads an image, unverified, into img.
func (s *session) fetchTo(ctx context.Context, img **pull.Image) func(*image.Origin) error {
	return func(origin *image.Origin) (err error) {
		*img, err = pull.Fetch(ctx, origin.Source, origin.Ref, pull.Options{Platform: s.c.String("platform"), SkipCandidates: true})
		return err
	}
}

// wherever reads what l names. A plain reference is looked for in the local store
// first and, if that has not got all that read asks for, in the registry.
func (s *session) wherever(ctx context.Context, l image.Location, read func(*image.Origin) error) error {
	places, err := s.places(nil)
	if err != nil {
		return err
	}
	if l.Transport == image.TransportRegistry {
		stored := image.Location{Transport: image.TransportStore, Reference: l.Reference}
		if err := readAt(ctx, places, stored, read); !errors.Is(err, image.ErrNotFound) {
			return err
		}
	}
	return readAt(ctx, places, l, read)
}

func readAt(ctx context.Context, places image.Places, l image.Location, read func(*image.Origin) error) error {
	origin, err := places.Origin(ctx, l)
	if err != nil {
		return err
	}
	return readOrigin(origin, l.String(), read)
}

// readOrigin reads from an origin, and closes it.
func readOrigin(origin *image.Origin, where string, read func(*image.Origin) error) (err error) {
	defer func() { err = joined.Errors(err, origin.Close()) }()
	if err := read(origin); err != nil {
		return fmt.Errorf("reading %s: %w", where, err)
	}
	return nil
}

// lookAtInput reads an object, or an archive of one image, from standard input.
func (s *session) lookAtInput(ctx context.Context) (*pull.Image, error) {
	in, err := s.term.input()
	if err != nil {
		return nil, err
	}
	start, all, err := startOf(ctx, in)
	if err != nil {
		return nil, err
	}
	if start == "\x7fELF" {
		data, err := s.term.allOf(ctx, all, inspect.MaxObject)
		if err != nil {
			return nil, err
		}
		return &pull.Image{Objects: []pull.Object{{File: stdio, Bytes: data}}}, nil
	}
	archive, err := s.readArchive(ctx, all, "standard input")
	if err != nil {
		return nil, err
	}
	origin, err := image.OriginOf(ctx, archive, "the archive", "")
	if err != nil {
		return nil, err
	}
	var img *pull.Image
	err = readOrigin(origin, "standard input", s.fetchTo(ctx, &img))
	return img, err
}
