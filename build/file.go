// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	"go.yaml.in/yaml/v3"
)

// MaxFile is the largest build file read, in bytes. The time the YAML package
// takes to look for repeated keys grows with their square; this much is a second.
const MaxFile = 128 << 10

// ErrFile is wrapped by every error of [ReadFile].
var ErrFile = errors.New("wrong build file")

// ReadFile parses a bpfimg.yaml; name is used in errors, which give the line.
// Unknown and repeated keys, a second document, more than [MaxFile] bytes, and
// attach defaults that do not parse are errors. An empty file is an empty
// [schemas.BuildFile].
func ReadFile(name string, data []byte) (schemas.BuildFile, error) {
	var f schemas.BuildFile
	if len(data) > MaxFile {
		return f, fmt.Errorf("%w: %s has %d bytes, at most %d are read", ErrFile, name, len(data), MaxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return schemas.BuildFile{}, fmt.Errorf("%w: %s: %w", ErrFile, name, plainYAML(err))
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return schemas.BuildFile{}, fmt.Errorf("%w: %s: line %d: a second document begins; only one is allowed", ErrFile, name, second.Line)
	case !errors.Is(err, io.EOF):
		return schemas.BuildFile{}, fmt.Errorf("%w: %s: %w", ErrFile, name, plainYAML(err))
	}
	for _, program := range slices.Sorted(maps.Keys(f.Programs)) {
		if _, err := schemas.ParseHook(f.Programs[program].Attach); err != nil {
			return schemas.BuildFile{}, fmt.Errorf("%w: %s: attach default of program %q: %w", ErrFile, name, program, err)
		}
	}
	return f, nil
}

var unknownField = regexp.MustCompile(`^(line \d+): field (.*) not found in type schemas\.(\w+)$`)

// knownKeys lists the keys of each mapping of the build file for errors.
var knownKeys = map[string]string{
	"BuildFile":       "name, version, description, source, revision, licenses, labels, annotations, programs, compile",
	"ProgramDefaults": "attach",
	"Compile":         "sources, include, defines, cpu, flags",
}

// plainYAML puts the first of the YAML package's complaints into one line
// without Go type names.
func plainYAML(err error) error {
	var typeErr *yaml.TypeError
	if errors.As(err, &typeErr) && len(typeErr.Errors) > 0 {
		first := typeErr.Errors[0]
		if m := unknownField.FindStringSubmatch(first); m != nil {
			return fmt.Errorf("%s: unknown key %q; known here: %s", m[1], m[2], knownKeys[m[3]])
		}
		return errors.New(strings.ReplaceAll(first, "schemas.", ""))
	}
	return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
}
