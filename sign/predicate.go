// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
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

// checkJSON refuses what is no JSON object, and what two JSON readers understand
// differently: see [boundedjson.Rules].
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return errors.New("it is not a JSON object")
	}
	err := boundedjson.CheckKeys(data, boundedjson.Limits{Depth: maxNesting}, anyKeys)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("it is not JSON: %w", err)
	case err != nil:
		return fmt.Errorf("it %w", err)
	}
	return nil
}

// anyKeys is for keys that are the author's own.
var anyKeys = boundedjson.NewRules(nil, nil)
