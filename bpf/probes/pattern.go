// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import "strings"

// IsPattern says whether s has a wildcard.
func IsPattern(s string) bool { return strings.ContainsAny(s, "*?") }

// Match compares a name with a pattern as libbpf does: a star stands for any
// number of characters, a question mark for one, all else for itself. The time
// it takes grows with the product of both lengths, and no faster.
func Match(pattern, name string) bool {
	p, n := 0, 0
	// Where to go on when what follows the last star does not fit.
	star, retry := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			retry++
			p, n = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
