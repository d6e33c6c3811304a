// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/urfave/cli/v2"
)

func legacyFlag() cli.Flag {
	return &cli.BoolFlag{Name: "legacy-signature", Usage: "write what cosign 2 wrote (tag sha256-….sig) instead of a Sigstore bundle"}
}

func signCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "sign",
		Usage:     "sign the digest of an image in its registry",
		ArgsUsage: "REFERENCE",
		Flags: []cli.Flag{
			keyFlag("private key (cosign's encrypted PEM; password from COSIGN_PASSWORD)"),
			legacyFlag(),
			&cli.StringSliceFlag{Name: "annotation", Aliases: []string{"a"}, Usage: "put KEY=VALUE into the signed content (repeatable)"},
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withImage(term, func(s *session, ref image.Reference) error {
			annotations, err := pairs(s.c, "annotation")
			if err != nil {
				return err
			}
			r, err := s.sign(ref, annotations)
			if err != nil {
				return err
			}
			done := imageResult{Reference: ref.String(), Digest: r.Subject.Digest.String(), Signature: r.Signature.Digest.String()}
			return s.printLine(done, ref.Name()+"@"+done.Signature)
		}),
	}
}

// sign signs ref's digest in its registry and, when the local store has
// that image, keeps the signature beside it, so that a following run needs no
// pull.
func (s *session) sign(ref image.Reference, annotations map[string]string) (sign.Result, error) {
	created, err := s.term.sourceDate()
	if err != nil {
		return sign.Result{}, err
	}
	signer, err := s.term.loadSigner(s.c.String("key"))
	if err != nil {
		return sign.Result{}, err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	registry, err := s.origin(nil)
	if err != nil {
		return sign.Result{}, err
	}
	result, err := sign.Sign(ctx, registry, ref, signer, sign.Options{
		Legacy:      s.c.Bool("legacy-signature"),
		Annotations: annotations,
		Created:     created,
	})
	if err != nil {
		return result, fmt.Errorf("signing %s: %w", ref, err)
	}
	s.term.notice("signed %s@%s", ref.Name(), result.Subject.Digest)
	if err := s.keepSignature(ctx, registry, ref.WithDigest(result.Subject.Digest.String())); err != nil {
		s.term.notice("warning: the signature is in the registry, but not in the local store: %v", err)
	}
	return result, nil
}

// keepSignature copies the signatures of ref (a digest) into the local store if
// the image is there.
func (s *session) keepSignature(ctx context.Context, registry *image.Registry, ref image.Reference) error {
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
