// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package excerpt_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/internal/excerpt"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name, s string
		most    int
		want    string
	}{
		{"empty", "", 3, ""},
		{"shorter", "ab", 3, "ab"},
		{"just as long", "abc", 3, "abc"},
		{"longer", "abcd", 3, "abc…"},
		{"just as long with a wide character", "aé", 3, "aé"},
		{"a wide character at the end", "aéb", 3, "aé…"},
		{"a wide character in two", "abéc", 3, "ab…"},
		{"a wider one in two", "a\U0001f980", 4, "a…"},
		{"no text, short", "\xff\xfe", 3, "\xff\xfe"},
		{"no text, long", "a\xff\xfeb", 3, "a…"},
		{"control characters", "\x1b[2J\nabc", 5, "\x1b[2J\n…"},
		{"nothing allowed", "a", 0, "…"},
		{"less than nothing", "a", -1, "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := excerpt.Of(tt.s, tt.most); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzOf: within the limit as it is, over it a beginning of valid text.
func FuzzOf(f *testing.F) {
	f.Add("aéb\xff", 3)
	f.Fuzz(func(t *testing.T, s string, most int) {
		got := excerpt.Of(s, most)
		if len(s) <= most {
			if got != s {
				t.Errorf("%q is changed to %q", s, got)
			}
			return
		}
		cut, ok := strings.CutSuffix(got, "…")
		if !ok || len(cut) > max(most, 0) || !utf8.ValidString(cut) {
			t.Errorf("of %q at most %d: %q", s, most, got)
		}
		if utf8.ValidString(s) && !strings.HasPrefix(s, cut) {
			t.Errorf("%q is no beginning of %q", cut, s)
		}
	})
}
