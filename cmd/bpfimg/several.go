// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

// withImages is withSession for commands that take several references. All of them
// are read before anything is done: a slip in the last one costs nothing.
func withImages(term *terminal, do func(*session, []image.Reference) error) cli.ActionFunc {
	return withSession(term, func(s *session) error {
		refs, err := s.references()
		if err != nil {
			return err
		}
		return do(s, refs)
	})
}

// references reads all arguments of the command, of which there must be one.
func (s *session) references() ([]image.Reference, error) {
	if s.c.NArg() == 0 {
		return nil, usagef("%s: want at least one image reference", commandName(s.c))
	}
	refs := make([]image.Reference, s.c.NArg())
	for i, arg := range s.c.Args().Slice() {
		var err error
		if refs[i], err = parseReference(arg); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// each does what a command does for every reference and prints each result as it
// comes: its line or, of -o json, one document at the end, which is a list if there
// are several references. One that fails is reported, and the rest still done, as
// docker does it; the error then is a [*failures]. An interrupted command does not
// go on.
func each[T any](s *session, refs []image.Reference, do func(image.Reference) (result T, line string, err error)) error {
	results, failed := []T{}, &failures{of: len(refs)}
	for _, ref := range refs {
		result, line, err := do(ref)
		switch {
		case err == nil:
			results = append(results, result)
			if err := s.line(line); err != nil {
				return err
			}
		case len(refs) == 1 || s.c.Context.Err() != nil:
			return err
		default:
			failed.errs = append(failed.errs, err)
			s.term.complain(err)
		}
	}
	if err := printResults(s, results, len(refs)); err != nil || failed.errs == nil {
		return err
	}
	return failed
}

// line prints a result that is text.
func (s *session) line(text string) error {
	if s.json {
		return nil
	}
	_, err := fmt.Fprintln(s.term.out, safe(text))
	return err
}

// printResults prints results as JSON, if that is wanted: the only one by itself.
func printResults[T any](s *session, results []T, asked int) error {
	switch {
	case !s.json:
		return nil
	case asked == 1:
		return s.term.json(results[0])
	}
	return s.term.json(results)
}

// failures is what failed of several images. Each was reported when it failed.
type failures struct {
	errs []error
	of   int
}

// Error implements error.
func (f *failures) Error() string { return fmt.Sprintf("%d of %d images failed", len(f.errs), f.of) }
