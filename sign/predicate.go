// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/schemas"
)

// MaxPredicate bounds a predicate in bytes. In a bundle it is base64, which
// makes 683 KiB of it: below the 1 MiB that readers here take.
const MaxPredicate = 512 << 10

// maxNesting bounds how deep a predicate nests, as readers here do.
const maxNesting = 60

// ErrPredicate: the predicate or its type cannot be attested; test with
// [errors.Is].
var ErrPredicate = errors.New("not a predicate that can be attested")

// Predicate is what an attestation says of an image.
type Predicate struct {
	// Type is a URI.
	Type string
	// Body is a JSON object.
	Body json.RawMessage
}

// PredicateType returns the URI of a predicate type: of one of cosign's short
// names, or name itself when it is an absolute URI. The error wraps
// [ErrPredicate].
func PredicateType(name string) (string, error) {
	if uri := schemas.PredicateTypeURI(name); uri != "" {
		return uri, nil
	}
	u, err := url.Parse(name)
	if err != nil || !u.IsAbs() || (u.Host == "" && u.Opaque == "") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%w: type %q: want a URI or one of %s", ErrPredicate, name, strings.Join(schemas.PredicateTypes(), ", "))
	}
	if name == schemas.PredicateCosignSign {
		return "", fmt.Errorf("%w: type %s marks signatures: make one with `bpfimg sign`", ErrPredicate, name)
	}
	return name, nil
}

// NewPredicate checks that body can be attested as the type (a name for
// [PredicateType]): one JSON object of at most [MaxPredicate] bytes that every
// JSON reader understands alike. The error wraps [ErrPredicate].
func NewPredicate(name string, body []byte) (Predicate, error) {
	uri, err := PredicateType(name)
	if err != nil {
		return Predicate{}, err
	}
	if len(body) > MaxPredicate {
		return Predicate{}, fmt.Errorf("%w: it is over the limit of %d bytes", ErrPredicate, MaxPredicate)
	}
	if err := checkJSON(body); err != nil {
		return Predicate{}, fmt.Errorf("%w: %w", ErrPredicate, err)
	}
	return Predicate{Type: uri, Body: slices.Clone(bytes.TrimSpace(body))}, nil
}

// checkJSON refuses what is no JSON object, and what two JSON readers
// understand differently: a key given twice (the first or the last may win),
// text that is no UTF-8, and data after the document.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("it is not a JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	// Numbers stay text: one too large for a float is JSON all the same.
	dec.UseNumber()
	if err := checkValue(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the JSON object")
	}
	return nil
}

// checkValue reads one value.
func checkValue(dec *json.Decoder, depth int) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxNesting {
		return fmt.Errorf("it nests deeper than %d", maxNesting)
	}
	seen := map[string]bool{}
	for dec.More() {
		if open == '{' {
			if err := checkKey(dec, seen); err != nil {
				return err
			}
		}
		if err := checkValue(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	return nil
}

func checkKey(dec *json.Decoder, seen map[string]bool) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	key, ok := token.(string)
	if !ok {
		return errors.New("it is not JSON: a key is no string")
	}
	if seen[key] {
		return fmt.Errorf("it has the key %.80q twice", key)
	}
	seen[key] = true
	return nil
}
