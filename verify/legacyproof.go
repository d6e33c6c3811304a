// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/schemas"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
)

// Limits on the annotations of a legacy signature, in bytes. The longest
// signature (RSA-8192) is 1 KiB; certificates, log entries and timestamps are
// below 8 KiB.
const (
	maxSignature   = 4 << 10
	maxLegacyProof = 32 << 10
)

// mediaTypeLegacy is the bundle version whose log entries need no inclusion
// proof, which cosign 2 did not store.
const mediaTypeLegacy = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// legacyEvidence turns a legacy signature and its annotations into a bundle, so
// that one verifier judges both. The chain among the annotations is not looked
// at: who issued the certificate is for the trusted root to say.
func legacyEvidence(payload []byte, annotations map[string]string) (evidence, error) {
	sig, err := legacySignature(annotations[schemas.AnnotationCosignSignature])
	if err != nil {
		return evidence{}, err
	}
	sum := sha256.Sum256(payload)
	message := &protobundle.Bundle{
		MediaType:            mediaTypeLegacy,
		VerificationMaterial: &protobundle.VerificationMaterial{},
		Content: &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
			Signature:     sig,
		}},
	}
	if err := addLegacyProofs(message.VerificationMaterial, annotations); err != nil {
		return evidence{}, err
	}
	b, err := bundle.NewBundle(message)
	if err != nil {
		return evidence{}, fmt.Errorf("has annotations that make no signature: %w", err)
	}
	return evidence{Bundle: b, artifact: func() sigverify.ArtifactPolicyOption {
		return sigverify.WithArtifact(bytes.NewReader(payload))
	}}, nil
}

func legacySignature(encoded string) ([]byte, error) {
	switch {
	case encoded == "":
		return nil, fmt.Errorf("has no %s annotation", schemas.AnnotationCosignSignature)
	case len(encoded) > maxSignature:
		return nil, fmt.Errorf("has a signature over the limit of %d bytes", maxSignature)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("has a signature that is not base64: %w", err)
	}
	return sig, nil
}

// addLegacyProofs adds certificate, log entry and timestamp where there are any.
func addLegacyProofs(m *protobundle.VerificationMaterial, annotations map[string]string) error {
	for _, name := range []string{schemas.AnnotationCosignCertificate, schemas.AnnotationCosignBundle, schemas.AnnotationCosignTimestamp} {
		if n := len(annotations[name]); n > maxLegacyProof {
			return fmt.Errorf("has a %s annotation of %d bytes, over the limit of %d", name, n, maxLegacyProof)
		}
	}
	m.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}}
	if text := annotations[schemas.AnnotationCosignCertificate]; text != "" {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return errors.New("has a certificate annotation that is not one certificate in PEM")
		}
		m.Content = &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: &protocommon.X509CertificateChain{
			Certificates: []*protocommon.X509Certificate{{RawBytes: block.Bytes}},
		}}
	}
	if text := annotations[schemas.AnnotationCosignBundle]; text != "" {
		entry, err := legacyLogEntry([]byte(text))
		if err != nil {
			return fmt.Errorf("has a log entry that cannot be read: %w", err)
		}
		m.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
	}
	if text := annotations[schemas.AnnotationCosignTimestamp]; text != "" {
		var stamp struct{ SignedRFC3161Timestamp []byte }
		if err := boundedjson.Unmarshal([]byte(text), &stamp); err != nil {
			return fmt.Errorf("has a timestamp that cannot be read: %w", err)
		}
		m.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp.SignedRFC3161Timestamp}},
		}
	}
	return nil
}

// legacyLogEntry reads what cosign 2 keeps of an entry of a Rekor log
// (sigstore/cosign, pkg/cosign/bundle/rekor.go).
func legacyLogEntry(text []byte) (*protorekor.TransparencyLogEntry, error) {
	var kept struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"`
		}
	}
	if err := boundedjson.Unmarshal(text, &kept); err != nil {
		return nil, err
	}
	var kind struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
	}
	if err := boundedjson.Unmarshal(kept.Payload.Body, &kind); err != nil {
		return nil, fmt.Errorf("its body: %w", err)
	}
	id, err := hex.DecodeString(kept.Payload.LogID)
	if err != nil {
		return nil, fmt.Errorf("its log: %w", err)
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          kept.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: id},
		KindVersion:       &protorekor.KindVersion{Kind: kind.Kind, Version: kind.Version},
		IntegratedTime:    kept.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: kept.SignedEntryTimestamp},
		CanonicalizedBody: kept.Payload.Body,
	}, nil
}
