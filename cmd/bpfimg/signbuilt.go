// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"crypto/sha1" // #nosec G505 -- SPDX wants it beside SHA-256; nothing trusts it
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/build/provenance"
	"github.com/bpfimg/bpfimg/build/sbom"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"
)

// statementFlags are the statements about a build that build itself can make.
func statementFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "provenance", Usage: "attach signed SLSA v1 provenance: how the image was built (needs --sign)"},
		&cli.BoolFlag{Name: "sbom", Usage: "attach a signed SPDX document: what is in the image (needs --sign)"},
		&cli.StringFlag{Name: "builder-id", Usage: "URI of what runs this build, for --provenance", DefaultText: provenance.DefaultBuilder + "@VERSION"},
	}
}

// made is what is known of how an image was built.
type made struct {
	opts     build.Options
	variants []build.Variant
	report   *compile.Report // nil: the objects were given
	started  time.Time
}

// signBuilt signs a built and pushed image and attaches what is to be said of
// it.
func (w *signing) signBuilt(ref image.Reference, done *buildResult) error {
	ctx, cancel := w.s.deadline()
	defer cancel()
	if w.opts.Services.Keyless() {
		if _, err := w.s.findToken(ctx, &w.opts.Services); err != nil {
			return err
		}
	}
	signed, err := w.sign(ctx, ref, nil)
	if err != nil {
		return err
	}
	done.Signature = signed.Signature.Digest.String()
	for _, statement := range []struct {
		flag, kind string
		make       func(image.Reference, *buildResult) ([]byte, error)
	}{
		{"provenance", "slsaprovenance1", w.provenance},
		{"sbom", "spdxjson", w.sbom},
	} {
		if !w.s.c.Bool(statement.flag) {
			continue
		}
		body, err := statement.make(ref, done)
		if err != nil {
			return fmt.Errorf("--%s: %w", statement.flag, err)
		}
		if err := w.attestBuilt(ctx, ref, statement.kind, body, done); err != nil {
			return fmt.Errorf("--%s: %w", statement.flag, err)
		}
	}
	return nil
}

func (w *signing) attestBuilt(ctx context.Context, ref image.Reference, kind string, body []byte, done *buildResult) error {
	predicate, err := sign.NewPredicate(kind, body)
	if err != nil {
		return err
	}
	r, err := w.attest(ctx, ref, predicate)
	if err != nil {
		return err
	}
	done.Attestations = append(done.Attestations, r.Signature.Digest.String())
	return nil
}

// described are the images that were built, each with its platform.
func (r *buildResult) described() []platformResult {
	if r.Description == nil {
		return r.Platforms
	}
	return []platformResult{{Platform: r.made.variants[0].Platform, Digest: r.Digest, Description: *r.Description}}
}

// provenance makes the SLSA provenance of a build.
func (w *signing) provenance(_ image.Reference, done *buildResult) ([]byte, error) {
	version := buildVersion().Version
	in := provenance.Input{
		Builder:    w.s.c.String("builder-id"),
		Version:    version,
		Arguments:  w.s.c.Args().Slice(),
		Flags:      w.s.decisiveFlags(),
		Report:     done.made.report,
		Invocation: w.s.term.invocation(),
	}
	if in.Builder == "" {
		in.Builder = provenance.DefaultBuilder + "@" + version
	}
	if file := done.made.opts.File; !reflect.ValueOf(file).IsZero() {
		in.File = &file
	}
	// Whoever sets SOURCE_DATE_EPOCH wants the same bytes again.
	if done.made.opts.Created.IsZero() {
		in.Started = done.made.started
	}
	if in.Report == nil {
		for _, im := range done.described() {
			in.Given = append(in.Given, im.Description.Objects...)
		}
		slices.SortFunc(in.Given, func(a, b schemas.Object) int { return strings.Compare(a.File+" "+a.Digest, b.File+" "+b.Digest) })
		in.Given = slices.CompactFunc(in.Given, func(a, b schemas.Object) bool { return a.File == b.File && a.Digest == b.Digest })
	}
	return provenance.Predicate(in)
}

// sbom makes the SPDX document of a build.
func (w *signing) sbom(ref image.Reference, done *buildResult) ([]byte, error) {
	in := sbom.Input{
		Name: ref.Name(), Digest: done.Digest,
		Version: done.made.opts.File.Version, Licenses: done.made.opts.File.Licenses,
		Report: done.made.report,
		Tool:   "bpfimg-" + buildVersion().Version, Created: done.made.opts.Created,
	}
	if in.Created.IsZero() {
		in.Created = done.made.started
	}
	sums := map[string]string{}
	for _, v := range done.made.variants {
		for _, input := range v.Inputs {
			sum := sha1.Sum(input.Bytes) // #nosec G401
			sums[digest.FromBytes(input.Bytes).String()] = hex.EncodeToString(sum[:])
		}
	}
	for _, im := range done.described() {
		in.Images = append(in.Images, sbom.Image{Platform: im.Platform, Digest: im.Digest, Objects: im.Description.Objects, SHA1: sums})
	}
	return sbom.Document(in)
}
