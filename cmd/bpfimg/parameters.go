// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// decisiveFlags are the flags of build that were given and may decide about the
// image, with their values: all but those about where it goes and who signs it.
func (s *session) decisiveFlags() map[string][]string {
	others := []string{
		"tag", "push", "sign", "legacy-signature", "recursive", "output", "plain-http", "timeout",
	}
	for _, f := range append(signerFlags(), statementFlags()...) {
		others = append(others, f.Names()[0])
	}
	m := map[string][]string{}
	for _, f := range s.c.Command.Flags {
		name := f.Names()[0]
		if !s.c.IsSet(name) || slices.Contains(others, name) || name == cli.HelpFlag.Names()[0] {
			continue
		}
		if _, ok := f.(*cli.StringSliceFlag); ok {
			m[name] = s.c.StringSlice(name)
		} else {
			m[name] = []string{fmt.Sprint(s.c.Value(name))}
		}
	}
	return m
}

// invocation is the address of the CI run this is part of, if it tells
// (docs.github.com, "Default environment variables"; docs.gitlab.com,
// "Predefined CI/CD variables").
func (t *terminal) invocation() string {
	get := func(name string) string {
		v, _ := t.lookup(name)
		return v
	}
	if run := get("GITHUB_RUN_ID"); run != "" {
		parts := []string{get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"), "actions/runs", run, "attempts", get("GITHUB_RUN_ATTEMPT")}
		return strings.Join(parts, "/")
	}
	return get("CI_JOB_URL")
}
