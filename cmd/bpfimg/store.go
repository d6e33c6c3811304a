// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/urfave/cli/v2"
)

func storeCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "store",
		Usage: "look after the local store",
		Subcommands: []*cli.Command{{
			Name:  "check",
			Usage: "hash everything in the local store again",
			Flags: []cli.Flag{
				&cli.BoolFlag{Name: "repair", Usage: "fetch what is missing or damaged from the registries the images came from"},
				outputFlag(), plainHTTPFlag(), timeoutFlag(),
			},
			Action: withStore(term, func(s *session, store *image.Store) error {
				return s.checkStore(store)
			}),
		}},
	}
}

func (s *session) checkStore(store *image.Store) error {
	report, reasons, err := s.storeReport(store)
	if err != nil {
		return err
	}
	open := 0
	for _, p := range report.Problems {
		if !p.Repaired {
			open++
		}
	}
	if err := s.print(report, func() error { return s.showReport(report) }); err != nil {
		return err
	}
	switch {
	case open == 0:
		return nil
	case s.c.Bool("repair"):
		for _, reason := range joined.Each(reasons) {
			s.term.notice("%v", reason)
		}
		return fmt.Errorf("%d of %d problems could not be repaired", open, len(report.Problems))
	}
	return fmt.Errorf("the local store has %d problems; `bpfimg store check --repair` fetches what it can", open)
}

func (s *session) storeReport(store *image.Store) (image.StoreReport, error, error) {
	if !s.c.Bool("repair") {
		report, err := store.Check(s.c.Context)
		return report, nil, err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	registry, err := s.registry(nil)
	if err != nil {
		return image.StoreReport{}, nil, err
	}
	return store.Repair(ctx, registry)
}

func (s *session) showReport(report image.StoreReport) error {
	for _, p := range report.Problems {
		line := p.Digest.String() + ": " + p.Problem
		switch {
		case p.Repaired && len(p.Images) == 0:
			line += ", deleted"
		case p.Repaired:
			line += ", repaired"
		}
		var names []string
		for _, ref := range p.Images {
			names = append(names, ref.String())
		}
		if names == nil {
			names = []string{"no image"}
		}
		if _, err := fmt.Fprintln(s.term.out, safe(line+" (needed by "+strings.Join(names, ", ")+")")); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.term.out, "checked %d files, %s\n", report.Checked, sizeText(report.Bytes))
	return err
}
