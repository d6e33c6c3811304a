// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestLimitsInTheSpecification: docs/spec.md says what the code does.
func TestLimitsInTheSpecification(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		fmt.Sprintf("| bundle that can be a signature, bytes | %d |\n", maxBundle),
		fmt.Sprintf("| subjects of a statement | %d |\n", maxSubjects),
		fmt.Sprintf("| legacy payload, bytes | %d |\n", maxPayload),
		fmt.Sprintf("| legacy signature in base64, bytes | %d |\n", maxSignature),
		fmt.Sprintf("RSA of %d to %d bits", minRSA, maxRSA),
		fmt.Sprintf("| parts of a bundle's JSON | %d |\n", maxBundleParts),
		fmt.Sprintf("| parts of the JSON of its envelope | %d |\n", maxEnvelopeParts),
		fmt.Sprintf("| legacy attestation, bytes | %d |\n", maxAttestation),
		fmt.Sprintf("| certificate, log entry or timestamp of one, bytes | %d |\n", maxLegacyProof),
		"`" + schemas.MediaTypeBundle + "`",
		"`" + schemas.AnnotationCosignCertificate + "`",
		"`" + schemas.AnnotationCosignBundle + "`",
		"`" + schemas.AnnotationCosignTimestamp + "`",
		"`" + mediaTypeBundleOld + "`",
	} {
		if !strings.Contains(string(spec), line) {
			t.Errorf("docs/spec.md does not say %q", line)
		}
	}
}
