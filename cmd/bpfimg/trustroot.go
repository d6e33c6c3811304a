// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/sign/trustroot"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"
)

func trustRootCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "trust-root",
		Usage: "whom to trust in Sigstore's services, for signatures without a key",
		Subcommands: []*cli.Command{{
			Name:  "update",
			Usage: "fetch trusted_root.json through The Update Framework",
			Flags: []cli.Flag{
				fileFlag(trustroot.Target, "the file to write, or - for standard output"),
				&cli.StringFlag{Name: "mirror", Usage: "address of the TUF repository (needs --tuf-root)", DefaultText: "Sigstore's public one"},
				&cli.StringFlag{Name: "tuf-root", Usage: "root.json that everything at the mirror is checked by"},
				formatFlag(), timeoutFlag(),
			},
			Action: withSession(term, (*session).updateTrustRoot),
		}},
	}
}

// trustRootResult is what `trust-root update --format json` prints.
type trustRootResult struct {
	File    string `json:"file"`
	Digest  string `json:"digest"`
	Changed bool   `json:"changed"`
}

func (s *session) updateTrustRoot() error {
	opts := trustroot.Options{Mirror: s.c.String("mirror"), Cache: filepath.Join(s.root, "tuf")}
	if path := s.c.String("tuf-root"); path != "" {
		data, err := limited.ReadFile(path, trustroot.MaxFile)
		if err != nil {
			return fmt.Errorf("reading the TUF root: %w", err)
		}
		opts.Root = data
	}
	ctx, cancel := s.deadline()
	defer cancel()
	got, err := trustroot.Fetch(ctx, opts)
	if err != nil {
		return fmt.Errorf("updating the trusted root: %w", err)
	}
	path := s.c.String("output")
	if path == stdio {
		_, err := s.term.out.Write(got.File)
		return err
	}
	old, err := limited.ReadFile(path, trustroot.MaxFile)
	result := trustRootResult{File: path, Digest: digest.FromBytes(got.File).String(), Changed: err != nil || string(old) != string(got.File)}
	state := "unchanged"
	if result.Changed {
		state = "written"
		if err := atomicfile.WriteDurably(path, got.File, 0o644); err != nil {
			return err
		}
	}
	return s.printLine(result, fmt.Sprintf("%s: %s, %s; trusts %d certificate authorities, %d logs and %d timestamp authorities",
		path, state, result.Digest, got.Authorities, got.Logs, got.Timestamps))
}
