// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package document reads the YAML files that people write, strictly: one document,
// no unknown and no repeated keys, and errors that name the line in plain words.
//
// Door: [Decode].
package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode reads the one document in data into v, a pointer to a type of package
// schemas, or of the caller's; an empty one leaves v as it is. keys lists the keys of each type by its
// name, for the error about an unknown one. The caller bounds data: the time the
// YAML package takes to look for repeated keys grows with their square.
func Decode(data []byte, v any, keys map[string]string) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return plain(err, keys)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return fmt.Errorf("line %d: a second document begins; only one is allowed", second.Line)
	case !errors.Is(err, io.EOF):
		return plain(err, keys)
	}
	return nil
}

var unknownField = regexp.MustCompile(`^(line \d+): field (.*) not found in type \w+\.(\w+)$`)

// plain puts the first of the YAML package's complaints into one line without Go
// type names.
func plain(err error, keys map[string]string) error {
	var typeErr *yaml.TypeError
	if errors.As(err, &typeErr) && len(typeErr.Errors) > 0 {
		first := typeErr.Errors[0]
		if m := unknownField.FindStringSubmatch(first); m != nil {
			return fmt.Errorf("%s: unknown key %q; known here: %s", m[1], m[2], keys[m[3]])
		}
		return errors.New(strings.ReplaceAll(first, "schemas.", ""))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}
