// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table of rooms in docs/architecture.md has in its first column one folder or
// several, and in its last one what each of them may import of ours: a list, or
const (
	importsNothing  = "–"
	importsAnything = "anything: " // and the reason
	importsNoGo     = "no Go"      // a folder without packages
)

// TestArchitectureTable compares the table of rooms in docs/architecture.md with
// the one in code, both ways.
func TestArchitectureTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	written, err := parseRooms(string(page))
	if err != nil {
		t.Fatalf("docs/architecture.md: %v", err)
	}
	for _, difference := range compareRooms(written, codeRooms()) {
		t.Error(difference)
	}
}

// codeRooms is the table in code, in the words of the page.
func codeRooms() map[string]string {
	rooms := map[string]string{}
	for room, imports := range mayImport {
		rooms[room] = listOfRooms(imports)
	}
	for room, reason := range mayImportAnything {
		rooms[room] = importsAnything + reason
	}
	return rooms
}

// listOfRooms is how a page lists rooms, sorted here to be compared.
func listOfRooms(rooms []string) string {
	if len(rooms) == 0 {
		return importsNothing
	}
	return "`" + strings.Join(slices.Sorted(slices.Values(rooms)), "`, `") + "`"
}

// parseRooms reads the table: what each room may import, in the form of
// listOfRooms or behind importsAnything.
func parseRooms(page string) (map[string]string, error) {
	const header = "| folder | what lives there | imports of ours |\n|---|---|---|\n"
	_, table, ok := strings.Cut(page, header)
	if !ok {
		return nil, fmt.Errorf("there is no table that starts with %q", header)
	}
	rooms := map[string]string{}
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 3 {
			return nil, fmt.Errorf("a row has %d cells instead of 3: %s", len(cells), line)
		}
		folders, err := parseList(strings.TrimSpace(cells[0]))
		if err != nil {
			return nil, err
		}
		imports, err := parseImports(strings.TrimSpace(cells[2]))
		if err != nil {
			return nil, fmt.Errorf("row of %s: %w", strings.Join(folders, ", "), err)
		}
		for _, folder := range folders {
			if _, twice := rooms[folder]; twice {
				return nil, fmt.Errorf("%s has two rows", folder)
			}
			rooms[folder] = imports
		}
	}
	maps.DeleteFunc(rooms, func(_, imports string) bool { return imports == importsNoGo })
	return rooms, nil
}

// parseImports reads the last cell of a row.
func parseImports(cell string) (string, error) {
	reason, anything := strings.CutPrefix(cell, importsAnything)
	if cell == importsNothing || cell == importsNoGo || anything && reason != "" {
		return cell, nil
	}
	list, err := parseList(cell)
	if err != nil {
		return "", fmt.Errorf("%w, %s, \"%sREASON\" or %q", err, importsNothing, importsAnything, importsNoGo)
	}
	return listOfRooms(list), nil
}

var listPattern = regexp.MustCompile("^`[^`]+`(, `[^`]+`)*$")

// parseList reads folders, each in backticks, with commas between them.
func parseList(cell string) ([]string, error) {
	if !listPattern.MatchString(cell) {
		return nil, fmt.Errorf("%q is no list of folders like `a`, `b/c`", cell)
	}
	return strings.Split(strings.Trim(cell, "`"), "`, `"), nil
}

// compareRooms says what to change where.
func compareRooms(written, code map[string]string) []string {
	var differences []string
	for _, room := range slices.Sorted(maps.Keys(code)) {
		imports, ok := written[room]
		switch {
		case !ok:
			differences = append(differences, fmt.Sprintf("%s has a rule in imports_test.go and no row in docs/architecture.md: add one that ends in | %s |", room, code[room]))
		case imports != code[room]:
			differences = append(differences, fmt.Sprintf("%s: docs/architecture.md says %s, and imports_test.go %s: change the one that is wrong", room, imports, code[room]))
		}
	}
	for _, room := range slices.Sorted(maps.Keys(written)) {
		if _, ok := code[room]; !ok {
			differences = append(differences, fmt.Sprintf("%s has a row in docs/architecture.md and no rule in imports_test.go: add it to mayImport there, or remove the row (%q in its last cell when it has no packages)", room, importsNoGo))
		}
	}
	return differences
}

// roomsPage is a page with a table of these rows.
func roomsPage(rows ...string) string {
	return "# A\n\n| folder | what lives there | imports of ours |\n|---|---|---|\n" + strings.Join(rows, "\n") + "\n\n| other | table |\n"
}

func TestCompareRooms(t *testing.T) {
	code := map[string]string{"a": "`b`, `c`", "b": importsNothing, "c": importsNothing, "cmd/d": importsAnything + "it is the top"}
	const b, d = "| `b`, `c` | x | – |", "| `cmd/d` | x | anything: it is the top |"
	for _, tt := range []struct {
		name string
		rows []string
		want string // of the one difference, "" for none
	}{
		{"same", []string{"| `a` | x, with `z` | `b`, `c` |", b, d}, ""},
		{"another order", []string{d, "| `a` | x | `c`, `b` |", b}, ""},
		{"a folder without Go", []string{"| `a` | x | `b`, `c` |", b, d, "| `.ci` | x | no Go |"}, ""},
		{"one import missing", []string{"| `a` | x | `b` |", b, d}, "a: docs/architecture.md says `b`, and imports_test.go `b`, `c`"},
		{"one import too many", []string{"| `a` | x | `b`, `c`, `z` |", b, d}, "a: docs/architecture.md says `b`, `c`, `z`, and imports_test.go `b`, `c`"},
		{"an import named twice", []string{"| `a` | x | `b`, `c`, `c` |", b, d}, "a: docs/architecture.md says `b`, `c`, `c`, and"},
		{"nothing in place of a list", []string{"| `a` | x | – |", b, d}, "a: docs/architecture.md says –, and"},
		{"another reason", []string{"| `a` | x | `b`, `c` |", b, "| `cmd/d` | x | anything: why not |"}, "cmd/d: docs/architecture.md says anything: why not, and"},
		{"no row", []string{"| `a` | x | `b`, `c` |", b}, "cmd/d has a rule in imports_test.go and no row"},
		{"no row in a group", []string{"| `a` | x | `b`, `c` |", "| `b` | x | – |", d}, "c has a rule in imports_test.go and no row"},
		{"no rule", []string{"| `a` | x | `b`, `c` |", b, d, "| `e` | x | – |"}, "e has a row in docs/architecture.md and no rule"},
		{"no Go where there is", []string{"| `a` | x | `b`, `c` |", b, "| `cmd/d` | x | no Go |"}, "cmd/d has a rule in imports_test.go and no row"},
	} {
		written, err := parseRooms(roomsPage(tt.rows...))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := compareRooms(written, code)
		if len(got) > 1 || (len(got) == 1) != (tt.want != "") || len(got) == 1 && !strings.HasPrefix(got[0], tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestParseRoomsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, page, want string }{
		{"no table", "# A\n", "there is no table"},
		{"two cells", roomsPage("| `a` | – |"), "a row has 2 cells"},
		{"words in place of imports", roomsPage("| `a` | x | most of them |"), `row of a: "most of them" is no list of folders`},
		{"words behind a list", roomsPage("| `a` | x | `b` (and `c`) |"), "is no list of folders"},
		{"no reason", roomsPage("| `a` | x | anything |"), "is no list of folders"},
		{"no backticks", roomsPage("| a | x | – |"), `"a" is no list of folders`},
		{"two rows", roomsPage("| `a` | x | – |", "| `b`, `a` | x | – |"), "a has two rows"},
	} {
		if _, err := parseRooms(tt.page); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}
