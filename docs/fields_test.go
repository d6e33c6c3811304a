// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fieldRow is a row of the table "Beside what docker buildx writes": its fields, what
// buildx and bpfimg do, and why.
var (
	fieldRow  = regexp.MustCompile("(?m)^\\| (`(?:manifest|config|index)\\..*?) \\| (.*?) \\| (.*?) \\| ?(.*?) ?\\|$")
	fieldName = regexp.MustCompile("`([^`]+)`")
)

// TestFields: what is built in the image form has the fields that the table says, and
// no other. A strict registry could refuse it.
func TestFields(t *testing.T) {
	listed := map[string]bool{}
	for _, row := range fieldRow.FindAllStringSubmatch(string(read(t, specFile)), -1) {
		fields, buildx, ours, why := row[1], row[2], row[3], row[4]
		if ours != "never" && ours != buildx && why == "" {
			t.Errorf("%s: no reason is given", fields)
		}
		for _, name := range fieldName.FindAllStringSubmatch(fields, -1) {
			if _, twice := listed[name[1]]; twice {
				t.Errorf("%s is in two rows", name[1])
			}
			listed[name[1]] = ours != "never"
		}
	}
	seen := builtFields(t)
	for name := range seen {
		if !listed[name] {
			t.Errorf("%s is written, but no row of the table allows it", name)
		}
	}
	for name, written := range listed {
		if written && !seen[name] {
			t.Errorf("%s is in the table, and nothing that is built has it", name)
		}
	}
}

// builtFields are those of an index, of its images, which have all that an author can
// add, and of an image with BTF layers.
func builtFields(t *testing.T) map[string]bool {
	t.Helper()
	k := newKit(t)
	k.btf()
	inputs, opts := k.inputs()
	opts.Labels, opts.Annotations = map[string]string{"team": "net"}, map[string]string{"note": "x"}
	opts.Compiler, opts.Compression = "clang", build.CompressionZstd
	ref := reference(t, "registry.example/net/fields:v1")
	index, err := build.Index(t.Context(), k.store, ref, []build.Variant{
		{Platform: "linux/arm/v7", Inputs: inputs}, {Platform: "linux/amd64", Inputs: inputs},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	addFields(t, seen, "index", index.Manifest.Bytes)
	images := []string{"registry.example/net/core:v1", ref.Name() + "@" + index.Images[0].Manifest.Descriptor.Digest.String(), ref.Name() + "@" + index.Images[1].Manifest.Descriptor.Digest.String()}
	for _, name := range images {
		m, parsed := k.manifest(reference(t, name))
		addFields(t, seen, "manifest", m.Bytes)
		addFields(t, seen, "config", k.blob(parsed.Config))
		for _, desc := range append([]ocispec.Descriptor{parsed.Config}, parsed.Layers...) {
			if desc.Size == 0 {
				t.Errorf("%s has a blob of 0 bytes, which some registries refuse", name)
			}
		}
	}
	return seen
}

// addFields adds the fields of a JSON document: objects by ".", lists by "[]". What an
// author names by any key, annotations and labels, is one field.
func addFields(t *testing.T, seen map[string]bool, name string, data []byte) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(data))
	var document any
	if err := decoder.Decode(&document); err != nil {
		t.Fatal(err)
	}
	addValue(seen, name, document)
}

func addValue(seen map[string]bool, name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if strings.HasSuffix(name, ".annotations") || strings.HasSuffix(name, ".Labels") {
			seen[name] = true
			return
		}
		for key, value := range v {
			addValue(seen, name+"."+key, value)
		}
	case []any:
		for _, value := range v {
			addValue(seen, name+"[]", value)
		}
	default:
		seen[name] = true
	}
}
