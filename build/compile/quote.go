// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import "strings"

// quote writes a word so that a POSIX shell reads it back as it is. It is for
// people who copy a command; bpfimg itself starts no shell.
func quote(word string) string {
	const plain = "%+,-./:=@_"
	special := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(plain, r)
	}
	if word != "" && !strings.ContainsFunc(word, special) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// quoteAll is a whole command.
func quoteAll(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}
