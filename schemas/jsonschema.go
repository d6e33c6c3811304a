// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// documents holds one JSON Schema (draft 2020-12) a file. They are written by
// hand; a test compares them with the Go types.
//
//go:embed jsonschema/*.json
var documents embed.FS

// jsonSchemaNames in the order people meet the documents.
var jsonSchemaNames = []string{"description", "config", "policy", "instance", "buildfile", "settings"}

// ErrNoSchema is wrapped by the error of [JSONSchema] for another name.
var ErrNoSchema = errors.New("no such schema")

// JSONSchemaNames lists what [JSONSchema] knows: "description" ([Description]),
// "config" (the OCI image config that `bpfimg build` writes), "policy"
// ([Policy]), "instance" ([Instance]), "buildfile" ([BuildFile]) and "settings"
// ([Settings]).
func JSONSchemaNames() []string { return slices.Clone(jsonSchemaNames) }

// JSONSchema returns the JSON Schema (draft 2020-12) of the document name, which
// stands alone. It says what is written by this version, and so knows no further
// keys; readers of a Description ignore those.
func JSONSchema(name string) ([]byte, error) {
	if !slices.Contains(jsonSchemaNames, name) {
		return nil, fmt.Errorf("%w: %q: want one of %s", ErrNoSchema, name, strings.Join(jsonSchemaNames, ", "))
	}
	data, err := documents.ReadFile("jsonschema/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("reading the schema %q: %w", name, err)
	}
	return data, nil
}
