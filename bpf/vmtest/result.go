// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// ResultPrefix begins the line with which the hook suite reports a row; a [RowResult]
// in JSON follows.
const ResultPrefix = "bpfimg-suite-row: "

// Outcome says what came of one row of the hook suite.
type Outcome string

// The outcomes, in the words of the matrix in docs/hooks.md.
const (
	// Works: run, the event, its effect, stop, and nothing was left.
	Works Outcome = "works"
	// WorksForeground: the same with --foreground, and without it a refusal that
	// says so, where the row does not ask for the foreground itself.
	WorksForeground Outcome = "works with --foreground"
	// Lacks: the run was refused with words on what the kernel lacks, and nothing
	// was loaded.
	Lacks Outcome = "lacks it"
	// NeedsDevice: the row needs a device that this machine has not.
	NeedsDevice Outcome = "needs a device"
	// Failed is everything else.
	Failed Outcome = "FAILED"
)

// RowResult is what came of one row of the hook suite on one kernel.
type RowResult struct {
	// Hook and Variant name the row; Variant may be "".
	Hook    string `json:"hook"`
	Variant string `json:"variant,omitempty"`
	// Outcome is one of the above.
	Outcome Outcome `json:"outcome"`
	// Detail is what the kernel lacks, in a few words without the kernel's own
	// version; what happened, when the row failed; else "".
	Detail string `json:"detail,omitempty"`
	// Shipped: the binary that ships was called, in a process for each call.
	Shipped bool `json:"shipped,omitempty"`
	// Milliseconds the row took.
	Milliseconds int64 `json:"ms"`
}

// Line is the row as the suite prints it.
func (r RowResult) Line() (string, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encoding the result of %s: %w", r.Hook, err)
	}
	return ResultPrefix + string(text), nil
}

// ParseResults finds the rows in what a suite printed, which may be the console
// of a machine: other lines, and what the kernel wrote before a row on its line,
// are left out.
func ParseResults(output string) ([]RowResult, error) {
	var rows []RowResult
	for line := range strings.Lines(output) {
		_, text, ok := strings.Cut(line, ResultPrefix)
		if !ok {
			continue
		}
		var r RowResult
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("row %q of the suite: %w", strings.TrimSpace(text), err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}
