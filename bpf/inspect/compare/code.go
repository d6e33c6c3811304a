// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compare

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

// Code says how the instructions of one program differ, its subprograms
// included.
type Code struct {
	// Added and Removed count instructions.
	Added   int `json:"added"`
	Removed int `json:"removed"`
	// Diff is the difference in the unified format, in the notation of
	// [inspect.Listing].
	Diff string `json:"diff"`
}

// withCode adds to the changes how the instructions differ of programs that are
// in both versions. A program may differ in nothing else.
func withCode(list []Change, before, after map[string][]string) []Change {
	for name, old := range before {
		updated, kept := after[name]
		if !kept || slices.Equal(old, updated) {
			continue
		}
		code := codeBetween(old, updated)
		i := slices.IndexFunc(list, func(c Change) bool { return c.Name == name })
		if i < 0 {
			list = append(list, Change{Kind: Changed, Name: name, Code: code})
			continue
		}
		list[i].Code = code
	}
	slices.SortFunc(list, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// codeBetween takes O(n log n) for n instructions, whatever they are.
func codeBetween(old, updated []string) *Code {
	text := func(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }
	c := &Code{Diff: string(diff.Diff("old", text(old), "new", text(updated)))}
	// The line with both names is the package's own and no part of the format.
	_, c.Diff, _ = strings.Cut(c.Diff, "\n")
	for i, line := range strings.Split(c.Diff, "\n") {
		switch {
		case i < 2: // the two names
		case strings.HasPrefix(line, "+"):
			c.Added++
		case strings.HasPrefix(line, "-"):
			c.Removed++
		}
	}
	return c
}
