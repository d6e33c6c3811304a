// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package boundedjson

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/internal/excerpt"
)

// Rules are what keys must be beyond JSON. Each is given once in its object (of
// two, the first or the last may win) and is UTF-8 (a byte that is not is left out
// by some readers, and replaced by encoding/json, which makes equal what differs).
type Rules struct {
	exact map[string]string // right spelling by folded form
	free  map[string]bool
}

// NewRules makes rules by which the keys in exact have no other letter case:
// encoding/json takes "Layers" for "layers", other readers do not. Below the keys in
// free, such as annotations, keys are the author's own and spelled as they like.
func NewRules(exact, free []string) *Rules {
	r := &Rules{exact: map[string]string{}, free: map[string]bool{}}
	for _, k := range exact {
		r.exact[fold(k)] = k
	}
	for _, k := range free {
		r.free[k] = true
	}
	return r
}

// fold makes equal what encoding/json takes for equal. Upper case comes first
// for the sake of letters such as the long s, whose upper case is S.
func fold(key string) string { return strings.ToLower(strings.ToUpper(key)) }

// maxQuoted bounds foreign text in an error, in bytes.
const maxQuoted = 80

// check looks at a key as it is written, without its quotes, and returns it decoded.
func (r *Rules) check(written []byte, seen map[string]bool, free bool) (string, error) {
	key, err := decodeKey(written)
	if err != nil {
		return "", err
	}
	if seen[key] {
		return "", fmt.Errorf("has the key %q twice", excerpt.Of(key, maxQuoted))
	}
	seen[key] = true
	if right, ok := r.exact[fold(key)]; ok && !free && key != right {
		return "", fmt.Errorf("has the key %q, which is not quite %q", excerpt.Of(key, maxQuoted), right)
	}
	return key, nil
}

func decodeKey(written []byte) (string, error) {
	key := string(written)
	if strings.Contains(key, `\`) {
		if err := json.Unmarshal([]byte(`"`+key+`"`), &key); err != nil {
			return "", err
		}
	}
	// Half of a surrogate pair decodes to the replacement character.
	if !utf8.Valid(written) || strings.ContainsRune(key, utf8.RuneError) {
		return "", fmt.Errorf("has the key %q, which is not UTF-8", excerpt.Of(key, maxQuoted))
	}
	return key, nil
}
