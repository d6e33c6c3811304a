// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

// matrix is what came of every row of the hook suite on every kernel, as
// docs/hooks.md has it.
type matrix struct {
	// columns are kernels in order, rows the titles of rows in order.
	columns, rows []string
	// cells by row and column.
	cells map[[2]string]cell
}

// cell is one outcome; note says what the kernel lacks, if it does.
type cell struct {
	outcome vmtest.Outcome
	note    string
}

// ownColumn begins the title of the column of a machine's own kernel.
const ownColumn = "own "

// noResult is in cells of rows that were not run on that kernel.
const noResult = "–"

// title names a row in the matrix.
func title(r vmtest.RowResult) string {
	if r.Variant == "" {
		return "`" + r.Hook + "`"
	}
	return "`" + r.Hook + "`, " + r.Variant
}

// set makes results the column of a kernel, and their rows those of the matrix:
// the suite is the same everywhere.
func (m *matrix) set(column string, results []vmtest.RowResult) {
	if strings.HasPrefix(column, ownColumn) {
		m.columns = slices.DeleteFunc(m.columns, func(c string) bool { return strings.HasPrefix(c, ownColumn) && c != column })
	}
	if !slices.Contains(m.columns, column) {
		m.columns = append(m.columns, column)
		slices.SortFunc(m.columns, compareColumns)
	}
	if m.cells == nil {
		m.cells = map[[2]string]cell{}
	}
	m.rows = nil
	for _, r := range results {
		m.rows = append(m.rows, title(r))
		m.cells[[2]string{title(r), column}] = cell{r.Outcome, r.Detail}
	}
}

// compareColumns sorts by version, a machine's own kernel last.
func compareColumns(a, b string) int {
	version := func(column string) (v []int) {
		for part := range strings.SplitSeq(column, ".") {
			n, err := strconv.Atoi(part)
			if err != nil {
				return []int{1 << 30}
			}
			v = append(v, n)
		}
		return v
	}
	return slices.Compare(version(a), version(b))
}

// String is the matrix in Markdown, with the notes below it.
func (m *matrix) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n| hook | %s |\n|---|%s\n", strings.Join(m.columns, " | "), strings.Repeat("---|", len(m.columns)))
	var notes []string
	for _, row := range m.rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, column := range m.columns {
			c, ok := m.cells[[2]string{row, column}]
			if !ok {
				c.outcome = noResult
			}
			fmt.Fprintf(&b, " %s", c.outcome)
			if c.note != "" {
				if !slices.Contains(notes, c.note) {
					notes = append(notes, c.note)
				}
				fmt.Fprintf(&b, " (%d)", slices.Index(notes, c.note)+1)
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

var (
	cellForm = regexp.MustCompile(`^(.*?)(?: \((\d+)\))?$`)
	noteForm = regexp.MustCompile(`^(\d+)\. (.*)$`)
)

// parseMatrix reads what String wrote.
func parseMatrix(text string) (*matrix, error) {
	m := &matrix{cells: map[[2]string]cell{}}
	notes := map[string]string{"": ""}
	for line := range strings.Lines(text) {
		if n := noteForm.FindStringSubmatch(strings.TrimSpace(line)); n != nil {
			notes[n[1]] = n[2]
		}
	}
	for line := range strings.Lines(text) {
		inner, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
		if !ok {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(inner, " |"), " | ")
		if m.columns == nil {
			m.columns = fields[1:]
			continue
		}
		if len(fields) != len(m.columns)+1 {
			return nil, fmt.Errorf("the matrix has %d columns and a row with %d cells: %s", len(m.columns), len(fields)-1, line)
		}
		m.rows = append(m.rows, fields[0])
		for i, text := range fields[1:] {
			c := cellForm.FindStringSubmatch(text)
			note, ok := notes[c[2]]
			if !ok {
				return nil, fmt.Errorf("the matrix has no note %s: %s", c[2], line)
			}
			if c[1] != noResult {
				m.cells[[2]string{fields[0], m.columns[i]}] = cell{vmtest.Outcome(c[1]), note}
			}
		}
	}
	return m, nil
}
