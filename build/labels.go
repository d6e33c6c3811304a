// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// reserved are the beginnings of keys that only a build may set: readers rely
// on them, and two truths are worse than one.
var reserved = []string{"io.ebpf.", "dev.bpfimg.", ocispec.AnnotationCreated}

// allLabels returns the config labels and the manifest annotations: what we
// know goes into both, so that a manifest alone tells what the image is, but for the
// Description, which is long; what the person adds only where they said.
func allLabels(desc schemas.Description, created time.Time, opts Options) (labels, annotations map[string]string, err error) {
	ours, err := ownLabels(desc, created, opts.File)
	if err != nil {
		return nil, nil, err
	}
	if opts.Compiler != "" {
		ours[schemas.LabelCompiler] = opts.Compiler
	}
	if labels, err = merge("label", ours, opts.File.Labels, opts.Labels); err != nil {
		return nil, nil, err
	}
	delete(ours, schemas.LabelDescription)
	annotations, err = merge("annotation", ours, opts.File.Annotations, opts.Annotations)
	return labels, annotations, err
}

// merge adds the person's keys to ours; later maps win.
func merge(kind string, ours map[string]string, given ...map[string]string) (map[string]string, error) {
	all := maps.Clone(ours)
	for _, m := range given {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if err := checkLabel(kind, k, m[k]); err != nil {
				return nil, err
			}
			all[k] = m[k]
		}
	}
	return all, nil
}

func checkLabel(kind, key, value string) error {
	for _, prefix := range reserved {
		if strings.HasPrefix(key, prefix) {
			return fmt.Errorf("%w: %s %q is written by the build itself; remove it", ErrOptions, kind, key)
		}
	}
	switch {
	case key == "":
		return fmt.Errorf("%w: %s with value %q has no name", ErrOptions, kind, value)
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		return fmt.Errorf("%w: %s name %q holds characters that are not text", ErrOptions, kind, key)
	case !utf8.ValidString(value):
		// JSON would silently replace the bytes.
		return fmt.Errorf("%w: the value of %s %q is not UTF-8", ErrOptions, kind, key)
	}
	return nil
}

// ownLabels is everything readers of ours and of others look for.
func ownLabels(desc schemas.Description, created time.Time, f schemas.BuildFile) (map[string]string, error) {
	maps, err := mapTypes(desc.Objects)
	if err != nil {
		return nil, err
	}
	title := f.Name
	if title == "" {
		title = stem(desc.Objects[0].File)
	}
	labels := map[string]string{
		ocispec.AnnotationCreated: created.Format(time.RFC3339),
		ocispec.AnnotationTitle:   title,
	}
	for key, value := range map[string]string{
		ocispec.AnnotationVersion:     f.Version,
		ocispec.AnnotationDescription: f.Description,
		ocispec.AnnotationSource:      f.Source,
		ocispec.AnnotationRevision:    f.Revision,
		ocispec.AnnotationLicenses:    f.Licenses,
	} {
		if value != "" {
			labels[key] = value
		}
	}
	for key, value := range map[string]any{
		schemas.LabelPrograms:    programTypes(desc.Objects),
		schemas.LabelMaps:        maps,
		schemas.LabelHooks:       programHooks(desc.Objects),
		schemas.LabelDescription: desc,
	} {
		text, err := json.Marshal(value) // sorts map keys
		if err != nil {
			return nil, fmt.Errorf("writing label %s: %w", key, err)
		}
		labels[key] = string(text)
	}
	if n := len(labels[schemas.LabelDescription]); n > schemas.MaxDescription {
		return nil, tooLarge("Description", int64(n), schemas.MaxDescription, hintSpread)
	}
	return labels, nil
}

// stem is a file's name up to its first dot, without what bpf2go adds: "counter"
// of "counter.bpf.o" and of "counter_arm64_bpfel.o".
func stem(file string) string {
	name, _, _ := strings.Cut(file, ".")
	name, _ = cutTarget(name)
	return name
}

func programTypes(objects []schemas.Object) map[string]string {
	types := map[string]string{}
	for _, obj := range objects {
		for _, p := range obj.Programs {
			types[p.Name] = bytecodeType(p)
		}
	}
	return types
}

func programHooks(objects []schemas.Object) map[string]schemas.ProgramHook {
	hooks := map[string]schemas.ProgramHook{}
	for _, obj := range objects {
		for _, p := range obj.Programs {
			hooks[p.Name] = schemas.ProgramHook{Type: p.Type, Section: p.Section, Hook: p.Hook, Target: p.Target}
		}
	}
	return hooks
}

// mapTypes lists the maps a person declared: the compiler's own data maps
// (".rodata", ".data", ".bss", ".kconfig") are no interface, and bpfman refuses
// images that list them.
func mapTypes(objects []schemas.Object) (map[string]string, error) {
	types := map[string]string{}
	for _, obj := range objects {
		for _, m := range obj.Maps {
			if strings.HasPrefix(m.Name, ".") {
				continue
			}
			if other, dup := types[m.Name]; dup && other != m.Type {
				return nil, fmt.Errorf("%w: map %q of %q is a %s, in another object it is a %s; rename one of them", ErrInput,
					m.Name, obj.File, m.Type, other)
			}
			types[m.Name] = m.Type
		}
	}
	return types, nil
}
