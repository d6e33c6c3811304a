// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/schemas/document"
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
	if err := document.Decode(data, &f, knownKeys); err != nil {
		return schemas.BuildFile{}, fmt.Errorf("%w: %s: %w", ErrFile, name, err)
	}
	for _, program := range slices.Sorted(maps.Keys(f.Programs)) {
		if _, err := schemas.ParseHook(f.Programs[program].Attach); err != nil {
			return schemas.BuildFile{}, fmt.Errorf("%w: %s: attach default of program %q: %w", ErrFile, name, program, err)
		}
	}
	return f, nil
}

// knownKeys lists the keys of each mapping of the build file for errors.
var knownKeys = map[string]string{
	"BuildFile":       "name, version, description, source, revision, licenses, labels, annotations, programs, compile",
	"ProgramDefaults": "attach",
	"Compile":         "sources, include, defines, cpu, flags",
}
