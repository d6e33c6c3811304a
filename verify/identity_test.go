// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"regexp"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestCompileWhole: what [compileAnchored] refuses would not open a pattern either.
func TestCompileWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"a|b", "a", true},
		{"a|b", "b", true},
		{"a|b", "ax", false}, // open at the end of the first half
		{"a|b", "xb", false}, // and at the beginning of the second
		{"^a|b$", "ax", false},
		{"^a|b$", "xb", false},
		{"a", "xa", false},
		{"a", "ax", false},
		{"(?m)^a$", "a", true},
		{"(?m)^a$", "a\nx", false},
		{"(?m)^a$", "x\na", false},
		{"^a$", "a\n", false},
		{"", "", true},
		{"", "a", false},
		{"a|", "ab", false},
	} {
		if got := must[*regexp.Regexp](t)(compileWhole(tt.pattern)).MatchString(tt.text); got != tt.want {
			t.Errorf("%q matches %q: %t, want %t", tt.pattern, tt.text, got, tt.want)
		}
	}
}

// TestPatternIsWhole: the pattern of an identity is compiled by compileWhole, so
// that it does not take one mistake to open it but two.
func TestPatternIsWhole(t *testing.T) {
	t.Parallel()
	const pattern = "^(a|b)$"
	id := must[identity](t)(newIdentity(schemas.PolicyIdentity{Issuer: "i", SubjectPattern: pattern}))
	if want := must[*regexp.Regexp](t)(compileWhole(pattern)).String(); id.pattern.String() != want {
		t.Errorf("compiled as %q, want %q", id.pattern, want)
	}
}
