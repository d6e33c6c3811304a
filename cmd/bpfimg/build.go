// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func buildCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "wrap BPF objects, or the C sources of a folder compiled, into an image in the local store",
		ArgsUsage: "OBJECT.o… | OS/ARCH=OBJECT.o… | FOLDER",
		Flags: append(
			append(signerFlags(), statementFlags()...),
			&cli.StringFlag{Name: "tag", Aliases: []string{"t"}, Usage: "name of the image: REGISTRY/REPOSITORY[:TAG]"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "bpfimg.yaml with name, version and attach defaults"},
			&cli.StringSliceFlag{Name: "label", Usage: "add a config label KEY=VALUE (repeatable)"},
			&cli.StringSliceFlag{Name: "annotation", Usage: "add a manifest annotation KEY=VALUE (repeatable)"},
			&cli.StringSliceFlag{Name: "platform", Usage: "os/arch[/variant] the image is for; several make a multi-platform image (repeatable, or with commas)", DefaultText: "linux and what the objects hint at"},
			clangFlag(),
			&cli.StringFlag{Name: "format", Value: string(build.FormImage), Usage: "image, which everything reads, or artifact: an OCI artifact without an image config"},
			&cli.StringFlag{Name: "compression", Usage: "of an image's layer: gzip, zstd or none", DefaultText: "gzip"},
			btfArchiveFlag(),
			&cli.BoolFlag{Name: "push", Usage: "push the image when it is built"},
			&cli.BoolFlag{Name: "sign", Usage: "sign the pushed image (needs --push, and --key or what sign needs without)"},
			legacyFlag(), recursiveFlag(),
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		),
		Action: withSession(term, func(s *session) error {
			if s.c.String("tag") == "" || s.c.NArg() == 0 {
				return usagef("build: want -t NAME and at least one object, such as: bpfimg build -t localhost:5000/xdp-counter:v1 counter.bpf.o")
			}
			if s.c.Bool("sign") && !s.c.Bool("push") {
				return usagef("build: --sign needs --push: a signature lives beside the image in the registry")
			}
			if (s.c.Bool("provenance") || s.c.Bool("sbom")) && !s.c.Bool("sign") {
				return usagef("build: --provenance and --sbom need --sign: they are attached signed")
			}
			return s.build()
		}),
	}
}

// build runs the chain build → push → sign as far as the flags ask.
func (s *session) build() error {
	ref, err := parseReference(s.c.String("tag"))
	if err != nil {
		return err
	}
	var w *signing
	if s.c.Bool("sign") { // what is missing for it is found before anything is pushed
		if w, err = s.newSigning(s.c.Context); err != nil {
			return err
		}
	}
	done, err := s.buildImage(ref)
	if err != nil {
		return fmt.Errorf("building %s: %w", ref, err)
	}
	if s.c.Bool("push") {
		if _, err := s.push(ref); err != nil {
			return err
		}
	}
	if w != nil {
		if err := w.signBuilt(ref.WithDigest(done.Digest), &done); err != nil {
			return err
		}
	}
	return s.printLine(done, ref.Name()+"@"+done.Digest)
}

// buildResult is what `build -o json` prints: of one image its description, of
// an index its images.
type buildResult struct {
	imageResult
	Description *schemas.Description `json:"description,omitempty"`
	BTF         []build.BTF          `json:"btf,omitempty"`
	Platforms   []platformResult     `json:"platforms,omitempty"`
	// Attestations are the digests of the manifests that hold them.
	Attestations []string `json:"attestations,omitempty"`

	made made
}

// platformResult is one image of an index.
type platformResult struct {
	Platform    string              `json:"platform"`
	Digest      string              `json:"digest"`
	Description schemas.Description `json:"description"`
	BTF         []build.BTF         `json:"btf,omitempty"`
}

// buildImage builds an image, or of objects for several platforms an index.
func (s *session) buildImage(ref image.Reference) (buildResult, error) {
	done := buildResult{imageResult: imageResult{Reference: ref.String()}}
	done.made.started = time.Now()
	opts, err := s.buildOptions()
	if err != nil {
		return done, err
	}
	variants, report, err := s.buildInputs(&opts)
	if err != nil {
		return done, err
	}
	done.made.opts, done.made.variants, done.made.report = opts, variants, report
	store, err := s.store()
	if err != nil {
		return done, err
	}
	if len(variants) == 1 {
		opts.Platform = variants[0].Platform
		result, err := build.Build(s.c.Context, store, ref, variants[0].Inputs, opts)
		if err != nil {
			return done, err
		}
		done.Digest, done.Description, done.BTF = result.Manifest.Descriptor.Digest.String(), &result.Description, result.BTF
		s.noticeBTF("", result)
		s.noticeBpfman(result)
		return done, nil
	}
	result, err := build.Index(s.c.Context, store, ref, variants, opts)
	if err != nil {
		return done, err
	}
	done.Digest = result.Manifest.Descriptor.Digest.String()
	for _, im := range result.Images {
		digest := im.Manifest.Descriptor.Digest.String()
		done.Platforms = append(done.Platforms, platformResult{im.Platform, digest, im.Description, im.BTF})
		s.term.notice("%s: %s", im.Platform, digest)
		s.noticeBTF(im.Platform+": ", im.Result)
	}
	for _, im := range result.Images {
		if s.noticeBpfman(im.Result) {
			break
		}
	}
	return done, nil
}

// noticeBpfman says what bpfman, which images are for as well, makes of several objects,
// and whether there was a reason to. It does not read zstd, and whoever wants an artifact
// does not think of it.
func (s *session) noticeBpfman(result build.Result) bool {
	objects := result.Description.Objects
	if len(objects) < 2 || s.c.String("format") != string(build.FormImage) || s.c.String("compression") == string(build.CompressionZstd) {
		return false
	}
	s.term.notice("%d objects: bpfman would load the first alone, %s; for it, build an image of each", len(objects), objects[0].File)
	return true
}

// buildInputs compiles sources, which fill in what opts do not say of them, or
// reads objects, of which there is no report.
func (s *session) buildInputs(opts *build.Options) ([]build.Variant, *compile.Report, error) {
	platforms := wantedPlatforms(s.c.StringSlice("platform"))
	src, err := s.sources()
	if err != nil {
		return nil, nil, err
	}
	if src != nil {
		return s.compile(src, platforms, opts)
	}
	variants, err := buildVariants(s.c.Args().Slice(), platforms)
	return variants, nil, err
}

func (s *session) buildOptions() (build.Options, error) {
	opts := build.Options{
		BTFArchive: s.c.String("btf-archive"),
		Form:       build.Form(s.c.String("format")), Compression: build.Compression(s.c.String("compression")),
	}
	var err error
	if opts.Labels, err = pairs(s.c, "label"); err != nil {
		return opts, err
	}
	if opts.Annotations, err = pairs(s.c, "annotation"); err != nil {
		return opts, err
	}
	if opts.Created, err = s.term.sourceDate(); err != nil {
		return opts, err
	}
	path := s.c.String("file")
	if path == "" {
		return opts, nil
	}
	data, err := readSmall(path)
	if err != nil {
		return opts, err
	}
	opts.File, err = build.ReadFile(path, data)
	return opts, err
}

// sourceDate is the time SOURCE_DATE_EPOCH gives, or the zero time
// (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
func (t *terminal) sourceDate() (time.Time, error) {
	epoch, _ := t.lookup("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, usagef("SOURCE_DATE_EPOCH %q: want seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}
