// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func buildCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "build",
		Usage:     "wrap compiled BPF objects into an image in the local store",
		ArgsUsage: "OBJECT.o…",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "tag", Aliases: []string{"t"}, Usage: "name of the image: REGISTRY/REPOSITORY[:TAG]"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "bpfimg.yaml with name, version and attach defaults"},
			&cli.StringSliceFlag{Name: "label", Usage: "add a config label KEY=VALUE (repeatable)"},
			&cli.StringSliceFlag{Name: "annotation", Usage: "add a manifest annotation KEY=VALUE (repeatable)"},
			&cli.StringFlag{Name: "platform", Usage: "os/arch the image is for", DefaultText: "linux and what the objects hint at"},
			&cli.StringFlag{Name: "format", Value: string(build.FormImage), Usage: "image, which everything reads, or artifact: an OCI artifact without an image config"},
			&cli.StringFlag{Name: "compression", Usage: "of an image's layer: gzip, zstd or none", DefaultText: "gzip"},
			btfArchiveFlag(),
			&cli.BoolFlag{Name: "push", Usage: "push the image when it is built"},
			&cli.BoolFlag{Name: "sign", Usage: "sign the pushed image (needs --push and --key)"},
			keyFlag("private key for --sign"),
			legacyFlag(),
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, func(s *session) error {
			if s.c.String("tag") == "" || s.c.NArg() == 0 {
				return usagef("build: want -t NAME and at least one object, such as: bpfimg build -t localhost:5000/xdp-counter:v1 counter.bpf.o")
			}
			if s.c.Bool("sign") && (!s.c.Bool("push") || s.c.String("key") == "") {
				return usagef("build: --sign needs --push (a signature lives beside the image in the registry) and --key")
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
	result, err := s.buildImage(ref)
	if err != nil {
		return fmt.Errorf("building %s: %w", ref, err)
	}
	digest := result.Manifest.Descriptor.Digest.String()
	done := buildResult{imageResult{Reference: ref.String(), Digest: digest}, result.Description, result.BTF}
	s.noticeBTF(result)
	if s.c.Bool("push") {
		if _, err := s.push(ref); err != nil {
			return err
		}
	}
	if s.c.Bool("sign") {
		signed, err := s.sign(ref.WithDigest(digest), nil)
		if err != nil {
			return err
		}
		done.Signature = signed.Signature.Digest.String()
	}
	return s.printLine(done, ref.Name()+"@"+digest)
}

// buildResult is what `build -o json` prints.
type buildResult struct {
	imageResult
	Description schemas.Description `json:"description"`
	BTF         []build.BTF         `json:"btf,omitempty"`
}

func (s *session) buildImage(ref image.Reference) (build.Result, error) {
	opts, err := s.buildOptions()
	if err != nil {
		return build.Result{}, err
	}
	var inputs []build.Input
	for _, path := range s.c.Args().Slice() {
		data, err := readLimited(path, inspect.MaxObject)
		if err != nil {
			return build.Result{}, err
		}
		inputs = append(inputs, build.Input{Name: filepath.Base(path), Bytes: data})
	}
	store, err := s.store()
	if err != nil {
		return build.Result{}, err
	}
	return build.Build(s.c.Context, store, ref, inputs, opts)
}

func (s *session) buildOptions() (build.Options, error) {
	opts := build.Options{
		Platform: s.c.String("platform"), BTFArchive: s.c.String("btf-archive"),
		Form: build.Form(s.c.String("format")), Compression: build.Compression(s.c.String("compression")),
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
