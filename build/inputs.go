// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// maxName is what the name field of a USTAR header holds (POSIX.1-1988 tar): one
// hundred bytes, less the ".o" that may be appended.
const maxName = 100 - len(objectSuffix)

const objectSuffix = ".o"

// file is one entry of the layer.
type file struct {
	name string
	data []byte
}

// describe inspects the inputs and checks that they can live in one image.
func describe(ctx context.Context, inputs []Input, f schemas.BuildFile) (schemas.Description, []file, error) {
	desc := schemas.Description{SchemaVersion: schemas.DescriptionVersion, Name: f.Name, Version: f.Version}
	if len(inputs) == 0 {
		return desc, nil, fmt.Errorf("%w: no object given; name at least one compiled BPF object", ErrInput)
	}
	if len(inputs) > MaxObjects {
		return desc, nil, fmt.Errorf("%w: %d objects given, at most %d fit one image", ErrInput, len(inputs), MaxObjects)
	}
	files := make([]file, 0, len(inputs))
	desc.Objects = make([]schemas.Object, 0, len(inputs))
	for _, in := range inputs {
		if err := ctx.Err(); err != nil {
			return desc, nil, fmt.Errorf("building: %w", err)
		}
		name, err := storedName(in.Name)
		if err != nil {
			return desc, nil, err
		}
		obj, err := inspect.Object(name, in.Bytes)
		if err != nil {
			return desc, nil, err // names the object
		}
		files = append(files, file{name: name, data: in.Bytes})
		desc.Objects = append(desc.Objects, obj)
	}
	if err := checkTogether(desc.Objects); err != nil {
		return desc, nil, err
	}
	return desc, files, applyDefaults(desc.Objects, f.Programs)
}

// storedName is the name of an object in the layer.
func storedName(given string) (string, error) {
	name := filepath.Base(given)
	switch {
	case given == "":
		return "", fmt.Errorf("%w: an object has no file name", ErrInput)
	case strings.HasPrefix(name, "."):
		// Also "." and "..", and ".wh.…", which deletes files when layers are
		// unpacked (image-spec, layer.md, "Whiteouts").
		return "", fmt.Errorf("%w: object name %q starts with a dot; rename the file", ErrInput, name)
	case len(name) > maxName:
		return "", fmt.Errorf("%w: object name %q is longer than %d characters; rename the file", ErrInput, name, maxName)
	}
	for _, c := range name {
		if c < ' ' || c > '~' || c == '/' || c == '\\' {
			return "", fmt.Errorf("%w: object name %q holds %q; use printable ASCII without slashes", ErrInput, name, c)
		}
	}
	if !strings.HasSuffix(name, objectSuffix) {
		name += objectSuffix
	}
	return name, nil
}

// checkTogether refuses objects that make no sense in one image.
func checkTogether(objects []schemas.Object) error {
	seen := map[string]bool{}
	programs := map[string]string{}
	for _, obj := range objects {
		if seen[obj.File] {
			return fmt.Errorf("%w: two objects are called %q; names must differ without their folders", ErrInput, obj.File)
		}
		seen[obj.File] = true
		if obj.Endianness != objects[0].Endianness {
			return fmt.Errorf("%w: %q is %s-endian and %q is %s-endian; build one image for each", ErrInput,
				objects[0].File, objects[0].Endianness, obj.File, obj.Endianness)
		}
		if err := checkPrograms(obj, programs); err != nil {
			return err
		}
	}
	return nil
}

// checkPrograms refuses programs nobody could load or name; owners maps the
// programs seen so far to their object.
func checkPrograms(obj schemas.Object, owners map[string]string) error {
	for _, p := range obj.Programs {
		if p.Type == unspecified {
			return fmt.Errorf("%w: program %q of %q is in section %q, which names no program type; use a section such as \"xdp\" or \"kprobe/vfs_unlink\"",
				ErrInput, p.Name, obj.File, p.Section)
		}
		if owner, dup := owners[p.Name]; dup {
			return fmt.Errorf("%w: program %q is in %q and in %q; rename one of them", ErrInput, p.Name, owner, obj.File)
		}
		owners[p.Name] = obj.File
	}
	return nil
}

// unspecified is the [schemas.Program] type of a section that says nothing.
const unspecified = "unspec"
