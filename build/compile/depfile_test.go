// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func digest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

// make quotes a name as clang does.
func makeQuote(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; c {
		case ' ', '#':
			b.WriteByte('\\')
			if c == ' ' {
				for j := i; j > 0 && name[j-1] == '\\'; j-- {
					b.WriteByte('\\')
				}
			}
			b.WriteByte(c)
		case '$':
			b.WriteString("$$")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestDepfile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want []string
	}{
		{"object: a.c\n", []string{"a.c"}},
		{"object: a.c /usr/include/x.h \\\n  b.h \\\n  c.h\n", []string{"a.c", "/usr/include/x.h", "b.h", "c.h"}},
		{`object: with\ space.c a\#b.h c$$d.h e\f.h` + "\n", []string{"with space.c", "a#b.h", "c$d.h", `e\f.h`}},
		{`object: a\\\ b.c`, []string{`a\ b.c`}},
		{"object: ", nil},
	} {
		if got, err := parseDepfile(test.text); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q %v", test.text, got, err)
		}
	}
	if _, err := parseDepfile("nothing"); !errors.Is(err, errDepfile) {
		t.Error(err)
	}
	if _, err := parseDepfile("object: " + strings.Repeat("a ", maxDeps+1)); !errors.Is(err, errDepfile) {
		t.Error(err)
	}
}

// FuzzDepfile: what is quoted comes back, and nothing crashes.
func FuzzDepfile(f *testing.F) {
	for _, seed := range []string{"a.c", "a b", `a\ b`, "a#b", "$", `\`, "object: x", "a\\\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if names, err := parseDepfile(name); err == nil && len(names) > maxDeps {
			t.Error("no limit")
		}
		if name == "" || strings.ContainsAny(name, "\n\\") {
			return
		}
		got, err := parseDepfile("object: " + makeQuote(name) + "\n")
		if err != nil || len(got) != 1 || got[0] != name {
			t.Errorf("%q came back as %q: %v", name, got, err)
		}
	})
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"": "''", "a/b.c": "a/b.c", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "a\nb": "'a\nb'", "~": "'~'", "é": "'é'", "-DX=1": "-DX=1",
	} {
		if got := quote(word); got != want {
			t.Errorf("%q: %s", word, got)
		}
	}
}
