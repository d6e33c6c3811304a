// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/urfave/cli/v2"
)

func legacyFlag() cli.Flag {
	return &cli.BoolFlag{Name: "legacy-signature", Usage: "write what cosign 2 wrote (tag sha256-….sig) instead of a Sigstore bundle"}
}

func recursiveFlag() cli.Flag {
	return &cli.BoolFlag{Name: "recursive", Aliases: []string{"r"}, Usage: "sign every image of a multi-platform image, and then the index"}
}

func signCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "sign",
		Usage:     "sign the digests of images in their registries",
		ArgsUsage: "REFERENCE…",
		Flags: append(
			signerFlags(), legacyFlag(), recursiveFlag(),
			&cli.StringSliceFlag{Name: "annotation", Aliases: []string{"a"}, Usage: "put KEY=VALUE into the signed content (repeatable)"},
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		),
		Action: withImages(term, (*session).signAll),
	}
}

// signAll opens the key once, and then signs each image within a --timeout of its own.
func (s *session) signAll(refs []image.Reference) error {
	annotations, err := pairs(s.c, "annotation")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.c.Context, time.Duration(len(refs))*s.c.Duration("timeout"))
	defer cancel()
	w, err := s.newSigning(ctx)
	if err != nil {
		return err
	}
	return each(s, refs, func(ref image.Reference) (signResult, string, error) {
		ctx, cancel := context.WithTimeout(ctx, s.c.Duration("timeout"))
		defer cancel()
		r, err := w.sign(ctx, ref, annotations)
		done := newSignResult(ref, r)
		return done, attachedName(w.registry, ref) + "@" + done.Signature, err
	})
}

// signResult is what `sign -o json` prints.
type signResult struct {
	imageResult
	// Images are those signed with an index.
	Images []signedImage `json:"images,omitempty"`
}

type signedImage struct {
	Digest    string `json:"digest"`
	Signature string `json:"signature"`
}

func newSignResult(ref image.Reference, r sign.Result) signResult {
	result := signResult{imageResult: imageResult{Reference: ref.String(), Digest: r.Subject.Digest.String(), Signature: r.Signature.Digest.String()}}
	for _, im := range r.Images {
		result.Images = append(result.Images, signedImage{im.Subject.Digest.String(), im.Signature.Digest.String()})
	}
	return result
}

// signing is what a command signs with, once or several times.
type signing struct {
	s        *session
	signer   signature.SignerVerifier
	registry sign.Repository
	opts     sign.Options
}

// newSigning opens the key, or finds the identity, the flags name.
func (s *session) newSigning(ctx context.Context) (*signing, error) {
	w := &signing{s: s, opts: sign.Options{Legacy: s.c.Bool("legacy-signature"), Recursive: s.c.Bool("recursive")}}
	var err error
	if w.opts.Created, err = s.term.sourceDate(); err != nil {
		return nil, err
	}
	if w.signer, w.opts.Services, err = s.signer(ctx); err != nil {
		return nil, err
	}
	origin, err := s.origin(nil)
	if err != nil {
		return nil, err
	}
	w.registry, err = s.attached(origin)
	return w, err
}

// sign signs ref's digest in its registry and, when the local store has
// that image, keeps the signature beside it, so that a following run needs no
// pull.
func (w *signing) sign(ctx context.Context, ref image.Reference, annotations map[string]string) (sign.Result, error) {
	opts := w.opts
	opts.Annotations = annotations
	result, err := sign.Sign(ctx, w.registry, ref, w.signer, opts)
	if err != nil {
		return result, fmt.Errorf("signing %s: %w", ref, err)
	}
	w.s.term.notice("signed %s@%s", ref.Name(), result.Subject.Digest)
	for _, im := range result.Images {
		w.s.term.notice("signed %s@%s of it", ref.Name(), im.Subject.Digest)
	}
	w.keep(ctx, ref, result)
	return result, nil
}

// keep copies what was written into the local store, if the image is there.
func (w *signing) keep(ctx context.Context, ref image.Reference, result sign.Result) {
	for _, r := range append(result.Images, result) {
		if err := w.s.keepSignature(ctx, w.registry, ref.WithDigest(r.Subject.Digest.String())); err != nil {
			w.s.term.notice("warning: the signature is in the registry, but not in the local store: %v", err)
			return
		}
	}
}

// keepSignature copies the signatures of ref (a digest) into the local store if
// the image is there.
func (s *session) keepSignature(ctx context.Context, registry image.Source, ref image.Reference) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	if _, err := store.Manifest(ctx, ref); errors.Is(err, image.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := image.Copy(ctx, store, ref, registry, ref, image.CopyOptions{Referrers: true}); err != nil {
		return fmt.Errorf("copying the signature of %s: %w", ref, err)
	}
	return nil
}
