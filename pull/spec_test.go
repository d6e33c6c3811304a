// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/schemas"
)

// TestLimitsInTheSpecification: docs/spec.md says what the code does.
func TestLimitsInTheSpecification(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		what  string
		limit int64
	}{
		{"manifest or index, bytes", image.MaxManifest},
		{"entries of an index", maxIndexEntries},
		{"config, bytes", image.MaxConfig},
		{"Description, bytes", maxDescription},
		{"objects in a Description", maxEntries},
		{"depth of nested JSON", maxNesting},
		{"elements of all arrays of a document", int64(boundedjson.Default.Elements)},
		{"members of all objects of a document", int64(boundedjson.Default.Members)},
		{"members of one object", int64(boundedjson.Default.Keys)},
		{"layers (other formats)", maxLayers},
		{"window of a zstd frame, bytes", maxWindow},
		{"layers, those with BTF included", maxArtifactLayers},
		{"BTF of one layer, bytes", schemas.MaxBTF},
		{"kernels of all BTF layers", schemas.MaxBTFKernels},
		{"all layers as fetched, bytes", maxCompressed},
		{"all layers unpacked, bytes", maxUnpacked},
		{"entries of all layers", maxEntries},
		{"file name, bytes", maxFileName},
		{"one object, bytes", inspect.MaxObject},
		{"referrers listed", image.MaxReferrers},
		{"candidates looked at", MaxCandidates},
		{"of these, kept for the tags of cosign 2", reservedForTags},
		{"all that is looked at, bytes", MaxLooked},
		{"manifest of a referrer, bytes", maxReferrerManifest},
		{"manifest of a referrer that the list calls smaller, bytes", smallManifest},
		{"bundle fetched, bytes", maxBundle},
		{fmt.Sprintf("bundles and legacy attestations over %d bytes together, bytes", smallBundle), maxLargeBundles},
		{"manifest of legacy signatures or attestations, bytes", maxLegacyManifest},
		{"legacy signatures", maxLegacy},
		{"legacy attestations", maxLegacy},
		{"legacy attestation, bytes", maxBundle},
		{"legacy payload, bytes", maxPayload},
		{"annotations of a legacy signature or attestation, bytes", maxAnnotations},
	} {
		if line := fmt.Sprintf("\n| %s | %d |\n", row.what, row.limit); !strings.Contains(string(spec), line) {
			t.Errorf("docs/spec.md lacks the line%s", line)
		}
	}
}

// TestLimitsOnOtherPages: what people read about the search says the same numbers.
func TestLimitsOnOtherPages(t *testing.T) {
	t.Parallel()
	for page, text := range map[string]string{
		"trust.md": fmt.Sprintf("At most %d candidates and %d MiB are looked at for each digest, of the layers at a tag of cosign 2 at most %d, "+
			"and for %.0f seconds from when the first is needed. Of the %[1]d, the last %[5]d are kept for those tags",
			MaxCandidates, MaxLooked>>20, maxLegacy, defaultCandidateTimeout.Seconds(), reservedForTags),
		"attacks.md": fmt.Sprintf("| %d are listed, %d of them and %d MiB looked at |", image.MaxReferrers, MaxCandidates, MaxLooked>>20),
	} {
		doc, err := os.ReadFile(filepath.Join("..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(strings.Fields(string(doc)), " "), text) {
			t.Errorf("docs/%s lacks %q", page, text)
		}
	}
}
