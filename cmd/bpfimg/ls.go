// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/urfave/cli/v2"
)

func lsCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Usage:     "list the tags of a repository",
		ArgsUsage: "REPOSITORY",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "limit", Value: 1000, Usage: "list at most so many tags"},
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "list the tags too that hold signatures and other attachments"},
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, (*session).ls),
	}
}

// lsResult is what `ls -o json` prints.
type lsResult struct {
	Repository string   `json:"repository"`
	Tags       []string `json:"tags"`
	// More says that there are others, over the limit.
	More bool `json:"more"`
}

func (s *session) ls() error {
	limit := s.c.Int("limit")
	if s.c.NArg() != 1 || limit < 1 {
		return usagef("ls: want one repository, and a --limit of 1 or more")
	}
	ctx, cancel := s.deadline()
	defer cancel()
	result, err := s.listTags(ctx, s.c.Args().First(), limit)
	if err != nil {
		return err
	}
	if result.More {
		s.term.notice("there are more than these %d tags: give a higher --limit", limit)
	}
	return s.print(result, func() error {
		for _, tag := range result.Tags {
			fmt.Fprintln(s.term.out, safe(tag))
		}
		return nil
	})
}

// listTags asks a registry, the local store, or a folder or file.
func (s *session) listTags(ctx context.Context, arg string, limit int) (lsResult, error) {
	for _, prefix := range []string{"oci:", "oci-archive:", "docker-archive:"} {
		if strings.HasPrefix(arg, prefix) {
			return s.listNames(ctx, arg, limit)
		}
	}
	places, err := s.places(nil)
	if err != nil {
		return lsResult{}, err
	}
	tags := places.Registry.Tags
	name, local := strings.CutPrefix(arg, "store:")
	if local {
		tags = places.Store.Tags
	}
	ref, err := image.ParseRepository(strings.TrimPrefix(name, "docker://"))
	if err != nil {
		return lsResult{}, usageError{err}
	}
	result := lsResult{Repository: ref.Name(), Tags: []string{}}
	keep := func(tag string) bool { return s.c.Bool("all") || !image.IsAttachmentTag(tag) }
	result.Tags, result.More, err = tags(ctx, ref, limit, keep)
	return result, err
}

// listNames lists what a folder or file holds, as it is written there.
func (s *session) listNames(ctx context.Context, arg string, limit int) (result lsResult, err error) {
	l, err := parseLocation(arg)
	if err != nil {
		return result, err
	}
	if l.Name != "" {
		return result, usagef("ls: want %s:%s without an image's name", l.Transport, l.Path)
	}
	archive, err := image.OpenLocation(ctx, l)
	if err != nil {
		return result, err
	}
	defer func() { err = joined.Errors(err, archive.Close()) }()
	result = lsResult{Repository: l.String(), Tags: []string{}}
	for i, im := range archive.Images() {
		if i == limit {
			result.More = true
			break
		}
		result.Tags = append(result.Tags, im.Name)
	}
	return result, nil
}
