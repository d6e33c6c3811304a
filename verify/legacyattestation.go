// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/pull"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// maxEnvelopeParts bounds the members and elements of an envelope's JSON; one
// with a signature has seven, its payload being text.
const maxEnvelopeParts = 64

// errUnreadEntry: such an entry holds the hash of the envelope, not the signature.
var errUnreadEntry = errors.New("of kind intoto 0.0.1, which is not read: attest anew with --rekor-entry-type dsse")

// checkLegacyAttestation returns who made the attestation of candidate, if the
// rule demands it. It is never a signature, whatever it says it is.
func (c *checker) checkLegacyAttestation(ctx context.Context, candidate pull.Candidate, attempt *Attempt) (proven, error) {
	e, err := legacyAttestation(candidate.Payload, candidate.Annotations, c.statementLimit())
	if err != nil {
		return proven{}, err
	}
	s, err := statementOfBundle(e.Bundle)
	switch {
	case err != nil:
		return proven{}, err
	case s.isSignature():
		return proven{}, errors.New("says that it is a signature, where only attestations are")
	}
	return c.checkAttestation(ctx, e, s, attempt)
}

// legacyAttestation turns an attestation of cosign 2, an envelope with proofs in
// the annotations beside it, into a bundle, so that one verifier judges both.
// What the annotations say of its type is not looked at.
func legacyAttestation(data []byte, annotations map[string]string, limit int) (evidence, error) {
	if len(data) > limit {
		return evidence{}, fmt.Errorf("has an envelope over the limit of %d bytes", limit)
	}
	envelope, err := readEnvelope(data)
	if err != nil {
		return evidence{}, fmt.Errorf("is not an envelope with one signature: %w", err)
	}
	message := &protobundle.Bundle{
		MediaType:            mediaTypeLegacy,
		VerificationMaterial: &protobundle.VerificationMaterial{},
		Content:              &protobundle.Bundle_DsseEnvelope{DsseEnvelope: envelope},
	}
	if err := addLegacyProofs(message.VerificationMaterial, annotations); err != nil {
		return evidence{}, err
	}
	unread := dropUnread(message.VerificationMaterial)
	b, err := bundle.NewBundle(message)
	if err != nil {
		return evidence{}, fmt.Errorf("has annotations that make no attestation: %w", err)
	}
	return evidence{Bundle: b, stampedBytes: data, unread: unread}, nil
}

// dropUnread takes out log entries of a kind that the library does not verify,
// and says so: what cosign made of attestations before version 2.2, and makes
// with `--rekor-entry-type intoto`. A key needs no entry unless the rule says so.
func dropUnread(m *protobundle.VerificationMaterial) error {
	for _, entry := range m.GetTlogEntries() {
		if v := entry.GetKindVersion(); v.GetKind() == "intoto" && v.GetVersion() == "0.0.1" {
			m.TlogEntries = nil
			return errUnreadEntry
		}
	}
	return nil
}

// envelope is a DSSE envelope (secure-systems-lab/dsse, envelope.md).
type envelope struct {
	payloadType, payload string
	signatures           []json.RawMessage
}

// readEnvelope reads each member at most once and spelled exactly, as
// [readStatement] does; members nobody knows are refused.
func readEnvelope(data []byte) (*protodsse.Envelope, error) {
	if n := countParts(data); n > maxEnvelopeParts {
		return nil, fmt.Errorf("its JSON has %d parts, over the limit of %d", n, maxEnvelopeParts)
	}
	var e envelope
	err := readMembers(data, map[string]any{
		"payloadType": &e.payloadType, "payload": &e.payload, "signatures": &e.signatures,
	})
	if err != nil {
		return nil, err
	}
	if n := len(e.signatures); n != 1 {
		return nil, fmt.Errorf("it has %d signatures", n)
	}
	var keyID, sig string
	if err := readMembers(e.signatures[0], map[string]any{"keyid": &keyID, "sig": &sig}); err != nil {
		return nil, fmt.Errorf("its signature: %w", err)
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(e.payload)
	if err != nil {
		return nil, fmt.Errorf("its payload is not base64: %w", err)
	}
	if len(sig) > maxSignature {
		return nil, fmt.Errorf("its signature is over the limit of %d bytes", maxSignature)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(sig)
	if err != nil {
		return nil, fmt.Errorf("its signature is not base64: %w", err)
	}
	return &protodsse.Envelope{
		Payload: payload, PayloadType: e.payloadType,
		Signatures: []*protodsse.Signature{{Sig: raw}}, // the keyid is the signer's word
	}, nil
}

// readMembers reads a JSON object, and nothing after it, into members.
func readMembers(data []byte, members map[string]any) error {
	dec, err := boundedjson.NewDecoder(data)
	if err != nil {
		return err
	}
	if token, err := dec.Token(); err != nil {
		return err
	} else if token != json.Delim('{') {
		return errors.New("it is not an object")
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		into, known := members[key]
		if !known || seen[key] {
			return fmt.Errorf("key %q is not known, or given twice", clip(key))
		}
		seen[key] = true
		if err := dec.Decode(into); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the JSON object")
	}
	return nil
}

// material is what the rule's trusted root says about e.
func (c *checker) material(e evidence) root.TrustedMaterial {
	if e.stampedBytes == nil {
		return c.rule.root.material
	}
	return envelopeMaterial{c.rule.root.material, e.stampedBytes}
}

// envelopeMaterial takes timestamps of a whole envelope: cosign 2 had those of
// attestations made of what it stored, which holds the signature (sigstore/cosign
// v2.6.5, cmd/cosign/cli/attest/attest.go).
type envelopeMaterial struct {
	root.TrustedMaterial
	envelope []byte
}

// TimestampingAuthorities implements [root.TrustedMaterial].
func (m envelopeMaterial) TimestampingAuthorities() []root.TimestampingAuthority {
	all := m.TrustedMaterial.TimestampingAuthorities()
	wrapped := make([]root.TimestampingAuthority, 0, len(all))
	for _, a := range all {
		wrapped = append(wrapped, envelopeStamps{a, m.envelope})
	}
	return wrapped
}

type envelopeStamps struct {
	root.TimestampingAuthority
	envelope []byte
}

// Verify implements [root.TimestampingAuthority].
func (a envelopeStamps) Verify(stamp, sig []byte) (*root.Timestamp, error) {
	if at, err := a.TimestampingAuthority.Verify(stamp, sig); err == nil {
		return at, nil
	}
	return a.TimestampingAuthority.Verify(stamp, a.envelope)
}
