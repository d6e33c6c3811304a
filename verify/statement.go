// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxSubjects bounds the subjects of a statement; cosign writes one.
const maxSubjects = 64

// maxPredicateMembers bounds the members of all objects of a predicate that conditions
// are asked about: each costs some 300 bytes there. In an SBOM of the largest size
// that is read there are about 25,000.
const maxPredicateMembers = 32768

// statementType is the version of in-toto statements that cosign signs images
// with, statementTypeOld the one it makes attestations of
// (in-toto/attestation, spec/v1/statement.md and spec/v0.1.0/README.md).
const (
	statementType    = "https://in-toto.io/Statement/v1"
	statementTypeOld = "https://in-toto.io/Statement/v0.1"
	payloadInToto    = "application/vnd.in-toto+json"
)

// statement is the part of an in-toto statement that decides.
type statement struct {
	kind, predicate string
	subjects        []map[string]string // digests by algorithm
	body            json.RawMessage     // the predicate itself
}

// statementOfBundle reads, before any signature was checked, what b says.
func statementOfBundle(b *bundle.Bundle) (statement, error) {
	envelope := b.GetDsseEnvelope()
	if t := envelope.GetPayloadType(); t != payloadInToto {
		return statement{}, fmt.Errorf("has no in-toto statement in its envelope: its type is %q", clip(t))
	}
	s, err := readStatement(envelope.GetPayload())
	if err != nil {
		return statement{}, fmt.Errorf("has no in-toto statement in its envelope: %w", err)
	}
	return s, nil
}

// readStatement reads each member at most once and spelled exactly: readers
// differ about which of two counts. It leaves the predicate, which may be large,
// as it is.
func readStatement(payload []byte) (statement, error) {
	var s statement
	dec, err := boundedjson.NewDecoder(payload)
	if err != nil {
		return s, err
	}
	if token, err := dec.Token(); err != nil {
		return s, err
	} else if token != json.Delim('{') {
		return s, errors.New("it is not an object")
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return s, err
		}
		key, _ := token.(string)
		if folded := strings.ToLower(key); seen[folded] {
			return s, fmt.Errorf("key %q is given twice", clip(key))
		} else if seen[folded] = true; len(seen) > maxSubjects {
			return s, errors.New("it has too many keys")
		}
		if err := s.member(dec, key); err != nil {
			return s, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return s, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return s, errors.New("more follows the JSON object")
	}
	return s, nil
}

// member reads the value of one key.
func (s *statement) member(dec *json.Decoder, key string) error {
	switch key {
	case "_type":
		return dec.Decode(&s.kind)
	case "predicateType":
		return dec.Decode(&s.predicate)
	case "predicate":
		return dec.Decode(&s.body)
	case "subject":
		var subjects []struct {
			Digest map[string]string `json:"digest"`
		}
		if err := dec.Decode(&subjects); err != nil {
			return err
		}
		for _, sub := range subjects {
			s.subjects = append(s.subjects, sub.Digest)
		}
		return nil
	}
	switch strings.ToLower(key) {
	case "_type", "subject", "predicate", "predicatetype":
		return fmt.Errorf("key %q is spelled wrong", clip(key))
	}
	return dec.Decode(new(json.RawMessage))
}

// same says whether what the library verified is what was read here.
func (s statement) same(result *sigverify.VerificationResult) bool {
	got := result.Statement
	if got.GetType() != s.kind || got.GetPredicateType() != s.predicate || len(got.GetSubject()) != len(s.subjects) {
		return false
	}
	for i, sub := range got.GetSubject() {
		for _, algorithm := range digestAlgorithms {
			if sub.GetDigest()[algorithm.String()] != s.subjects[i][algorithm.String()] {
				return false
			}
		}
	}
	return true
}

// digestAlgorithms are those of the images that signatures are for.
var digestAlgorithms = []digest.Algorithm{digest.SHA256, digest.SHA512}

// digests are what the statement is about. A subject with two digests is about each.
func (s statement) digests() ([]string, error) {
	if len(s.subjects) > maxSubjects {
		return nil, fmt.Errorf("has %d subjects, over the limit of %d", len(s.subjects), maxSubjects)
	}
	var all []string
	for _, digests := range s.subjects {
		for _, a := range digestAlgorithms {
			if encoded, ok := digests[a.String()]; ok {
				all = append(all, clip(digest.NewDigestFromEncoded(a, encoded).String()))
			}
		}
	}
	return all, nil
}

// isSignature says whether the statement is an image signature.
func (s statement) isSignature() bool { return s.predicate == schemas.PredicateCosignSign }

// content is the predicate in the form conditions read; each key once.
func (s statement) content() (map[string]any, error) {
	var body structpb.Struct
	if err := boundedjson.Check(s.body, boundedjson.Limits{Members: maxPredicateMembers}); err != nil {
		return nil, fmt.Errorf("has a predicate that cannot be read: it %w", err)
	}
	if err := body.UnmarshalJSON(s.body); err != nil {
		return nil, fmt.Errorf("has a predicate that cannot be read: %w", err)
	}
	return body.AsMap(), nil
}
