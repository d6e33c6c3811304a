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
	l, err := parseLocation(arg)
	switch {
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
	err = s.wherever(ctx, l, func(origin *image.Origin) (err error) {
		img, err = pull.Fetch(ctx, origin.Source, origin.Ref, pull.Options{Platform: s.c.String("platform"), SkipCandidates: true})
		return err
	})
	return img, err
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

func readAt(ctx context.Context, places image.Places, l image.Location, read func(*image.Origin) error) (err error) {
	origin, err := places.Origin(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, origin.Close()) }()
	if err := read(origin); err != nil {
		return fmt.Errorf("reading %s: %w", l, err)
	}
	return nil
}
