// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/sigstore/sigstore-go/pkg/bundle"
)

// maxBundle bounds a bundle that can be a signature, in bytes. One by a key is
// below 1 KiB, with certificates and log entries below 20 KiB; what is larger is
// an attestation, and parsing it would only cost time.
const maxBundle = 256 << 10

// maxAttestation bounds a bundle that can be an attestation, in bytes: all that
// package pull fetches.
const maxAttestation = 1 << 20

// maxBundleParts bounds the members and elements of a bundle's JSON. A bundle
// with log entries of a large tree has below 200; each costs a hundred times
// its bytes in memory.
const maxBundleParts = 4096

// mediaTypeBundleOld is how early writers spelled [schemas.MediaTypeBundle]
// (sigstore/protobuf-specs, sigstore_bundle.proto, media_type).
const mediaTypeBundleOld = "application/vnd.dev.sigstore.bundle+json;version=0.3"

// parseBundle accepts a v0.3 bundle of at most limit bytes that holds a DSSE
// envelope with one signature.
func parseBundle(data []byte, limit int) (*bundle.Bundle, error) {
	if len(data) > limit {
		return nil, fmt.Errorf("is over the limit of %d bytes for a signature: an attestation, perhaps", limit)
	}
	if n := countParts(data); n > maxBundleParts {
		return nil, fmt.Errorf("is not a Sigstore bundle: its JSON has %d parts, over the limit of %d", n, maxBundleParts)
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("is not a Sigstore bundle: %w", err)
	}
	if b.MediaType != schemas.MediaTypeBundle && b.MediaType != mediaTypeBundleOld {
		return nil, fmt.Errorf("has the bundle version %q: want %q", clip(b.MediaType), schemas.MediaTypeBundle)
	}
	if b.GetDsseEnvelope() == nil {
		return nil, errors.New("is a bare signature of a blob, not a signed statement about an image")
	}
	if n := len(b.GetDsseEnvelope().GetSignatures()); n != 1 {
		return nil, fmt.Errorf("has %d signatures in its envelope: want exactly one", n)
	}
	return &b, nil
}

// countParts counts what separates and opens the parts of a JSON document
// outside of its strings.
func countParts(data []byte) int {
	count, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == ',' || c == '{' || c == '['):
			count++
		}
	}
	return count
}
