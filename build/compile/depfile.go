// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of a dependency file. The largest programs of the kernel's own tests
// include some hundred headers.
const (
	maxDepfile = 4 << 20
	maxDeps    = 10_000
)

var errDepfile = errors.New("the compiler's dependency file cannot be read")

// parseDepfile lists the files in what clang -MD writes: a make rule whose
// target is one word (-MT), the files behind the colon, lines continued with a
// backslash. In a name, make wants a space and # after a backslash, and $
// doubled; backslashes before such a space are doubled (clang,
// lib/Frontend/DependencyFile.cpp, PrintFilename).
func parseDepfile(text string) ([]string, error) {
	_, rest, ok := strings.Cut(text, ": ")
	if !ok {
		return nil, fmt.Errorf("%w: it has no colon", errDepfile)
	}
	rest = strings.TrimSuffix(rest, "\n")
	var names []string
	for rest != "" {
		var name string
		if name, rest = depName(rest); name == "" {
			continue
		}
		if len(names) == maxDeps {
			return nil, fmt.Errorf("%w: it names more than %d files", errDepfile, maxDeps)
		}
		names = append(names, name)
	}
	return names, nil
}

// depName cuts the first name off; it is empty for white space.
func depName(s string) (name, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '\n':
			return b.String(), s[i+1:]
		case c == '$' && strings.HasPrefix(s[i:], "$$"):
			b.WriteByte('$')
			i++
		case c == '\\':
			n := len(s[i:]) - len(strings.TrimLeft(s[i:], `\`))
			i += backslashes(&b, n, s[i+n:]) - 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// backslashes writes what a run of n stands for before next, and returns how
// many bytes of input that took.
func backslashes(b *strings.Builder, n int, next string) int {
	switch {
	case strings.HasPrefix(next, "\n") && b.Len() == 0 && n == 1:
		return n // the line goes on
	case strings.HasPrefix(next, " ") && n%2 == 1:
		b.WriteString(strings.Repeat(`\`, n/2) + " ")
		return n + 1
	case strings.HasPrefix(next, "#") && n%2 == 1:
		b.WriteString(strings.Repeat(`\`, n/2) + "#")
		return n + 1
	}
	b.WriteString(strings.Repeat(`\`, n))
	return n
}
