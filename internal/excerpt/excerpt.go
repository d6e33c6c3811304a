// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package excerpt bounds foreign text that becomes part of a sentence.
//
// Door: [Of].
package excerpt

import "strings"

// ellipsis stands for what was cut off.
const ellipsis = "…"

// Of is s when it has at most most bytes, else its first most bytes with an
// ellipsis behind them. A character that is cut in two, and whatever else is no
// UTF-8 in what is left, is dropped. Line ends and control characters stay: who
// prints escapes them.
func Of(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:max(most, 0)], "") + ellipsis
}
