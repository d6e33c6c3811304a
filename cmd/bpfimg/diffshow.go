// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect/compare"
)

// marks are what a line begins with.
var marks = map[compare.Kind]string{compare.Added: "+", compare.Removed: "-", compare.Changed: "~"}

func (s *session) showDiff(r diffResult) error {
	for _, side := range []struct {
		word string
		diffSide
	}{{"old", r.Old}, {"new", r.New}} {
		fmt.Fprintf(s.term.out, "%s  %s", side.word, safe(side.Image))
		if side.Digest != "" {
			fmt.Fprintf(s.term.out, " %s", safe(side.Digest))
		}
		fmt.Fprintln(s.term.out)
	}
	if r.Same {
		fmt.Fprintln(s.term.out, "\nno difference: the objects are the same bytes, and go to the same hooks")
		return nil
	}
	for _, section := range []struct {
		title   string
		changes []compare.Change
	}{{"PROGRAMS", r.Programs}, {"MAPS", r.Maps}, {"VARIABLES", r.Variables}, {"OBJECTS", r.Objects}} {
		if err := s.showChanges(section.title, section.changes); err != nil {
			return err
		}
	}
	if err := s.showEntries("BTF", r.BTF); err != nil {
		return err
	}
	return s.showEntries("LABELS", r.Labels)
}

func (s *session) showChanges(title string, changes []compare.Change) error {
	if len(changes) == 0 {
		return nil
	}
	fmt.Fprintf(s.term.out, "\n%s\n", title)
	for _, c := range changes {
		fmt.Fprintf(s.term.out, "%s %s\n", marks[c.Kind], safe(c.Name))
		var rows [][]string
		for _, f := range c.Fields {
			rows = append(rows, []string{"   ", fieldTitle(f.Name), fieldText(c.Kind, f)})
		}
		if c.Code != nil {
			rows = append(rows, []string{"   ", "code", fmt.Sprintf("%d instructions added, %d removed", c.Code.Added, c.Code.Removed)})
		}
		if err := s.term.table(nil, rows); err != nil {
			return err
		}
		if c.Code != nil && s.c.Bool("instructions") {
			for line := range strings.Lines(c.Code.Diff) {
				fmt.Fprintf(s.term.out, "    %s\n", safe(strings.TrimSuffix(line, "\n")))
			}
		}
	}
	return nil
}

func (s *session) showEntries(title string, changes []entryChange) error {
	if len(changes) == 0 {
		return nil
	}
	fmt.Fprintf(s.term.out, "\n%s\n", title)
	var rows [][]string
	for _, c := range changes {
		rows = append(rows, []string{"~ " + c.Name, orNone(c.Old) + " → " + orNone(c.New)})
	}
	return s.term.table(nil, rows)
}

// fieldTitle splits the key of a Description into words: "attach type".
func fieldTitle(key string) string {
	var b strings.Builder
	for _, r := range key {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// fieldText is a field's change in a line; of something added or removed, its
// value.
func fieldText(kind compare.Kind, f compare.Field) string {
	if len(f.Added)+len(f.Removed) > 0 {
		return listText(kind, f)
	}
	switch kind {
	case compare.Added:
		return jsonText(f.New)
	case compare.Removed:
		return jsonText(f.Old)
	}
	return orNone(jsonText(f.Old)) + " → " + orNone(jsonText(f.New))
}

func listText(kind compare.Kind, f compare.Field) string {
	var words []string
	for _, part := range []struct {
		mark     string
		elements []string
	}{{"-", f.Removed}, {"+", f.Added}} {
		for _, e := range part.elements {
			if kind == compare.Changed {
				e = part.mark + e
			}
			words = append(words, e)
		}
	}
	return strings.Join(words, " ")
}

// jsonText shows a string bare and everything else as JSON.
func jsonText(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
