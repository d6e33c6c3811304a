// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Types of an in-toto statement and of its DSSE payload (in-toto/attestation,
// spec/v1/statement.md and envelope.md).
const (
	statementType   = "https://in-toto.io/Statement/v1"
	payloadTypeJSON = "application/vnd.in-toto+json"
)

// statement is an in-toto statement as cosign 3 fills it
// (cmd/cosign/cli/sign/sign.go, signDigestBundle): one subject without a name,
// and annotations there.
type statement struct {
	Type          string          `json:"_type"`
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subject struct {
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// newStatement returns the statement that says the predicate of the image with
// digest d, as it is signed.
func newStatement(d digest.Digest, p Predicate, annotations map[string]string) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	// Strings stay as the predicate's author wrote them.
	enc.SetEscapeHTML(false)
	err := enc.Encode(statement{
		Type:          statementType,
		PredicateType: p.Type,
		Predicate:     p.Body,
		Subject: []subject{{
			Digest:      map[string]string{d.Algorithm().String(): d.Encoded()},
			Annotations: annotations,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the statement: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
