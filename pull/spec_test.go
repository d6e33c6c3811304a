// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"fmt"
	"os"
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
