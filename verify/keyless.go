// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
)

// proveIdentity verifies a signature made with a certificate: the certificate
// chains to the trusted root and it and every certificate above were valid at
// each proven time of signing, never now.
func (c *checker) proveIdentity(e evidence, p party) (proven, error) {
	content, err := e.VerificationContent()
	if err != nil {
		return proven{}, fmt.Errorf("has no readable certificate: %w", err)
	}
	leaf := content.Certificate()
	if leaf == nil {
		return proven{}, errors.New("has neither key nor certificate")
	}
	key, err := c.certificateKey(leaf)
	if err != nil {
		return proven{}, err
	}
	material := c.material(e)
	w := ways{log: c.rule.logIDs, time: true, sct: len(material.CTLogs()) > 0}
	result, logged, err := w.run(e, material, sigverify.WithoutIdentitiesUnsafe()) // they are compared below
	if err != nil {
		return proven{}, fmt.Errorf("is signed with a certificate%s, but %w", c.describeLeaf(leaf, e), err)
	}
	cert := result.Signature.Certificate
	entries, err := whoIs(*cert, p)
	if err != nil {
		return proven{}, err
	}
	return proven{result: result, entries: entries, signer: schemas.Signer{
		Kind: schemas.SignerIdentity, Issuer: cert.Issuer, Subject: cert.SubjectAlternativeName,
		SourceRepository: cert.SourceRepositoryURI, SourceRef: cert.SourceRepositoryRef, Workflow: cert.BuildConfigURI,
		CertificateKey: key, TrustedRoot: c.rule.root.ID,
		SignedAt: earliest(result.VerifiedTimestamps), Logged: logged,
	}}, nil
}

// certificateKey returns the id of the key that a certificate is for, unless that
// is denied.
func (c *checker) certificateKey(leaf *x509.Certificate) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(leaf.PublicKey)
	if err != nil {
		return "", fmt.Errorf("has a certificate for a key that cannot be read: %w", err)
	}
	id := keyID(der)
	if c.rule.denied.has(id) {
		return "", fmt.Errorf("signed by the key %s, which is %w", id, errDenied)
	}
	return id, nil
}

// whoIs returns the entries of p that cert is.
func whoIs(cert certificate.Summary, p party) ([]int, error) {
	var (
		entries []int
		failed  error
	)
	for i, id := range p.identities {
		if failed = id.matches(cert); failed == nil {
			entries = append(entries, len(p.keys)+i)
		}
	}
	switch {
	case len(entries) > 0:
		return entries, nil
	case len(p.identities) == 1:
		return nil, fmt.Errorf("is signed by another identity: %w", failed)
	}
	return nil, fmt.Errorf("is signed by %q of issuer %q, who is none of the %d identities trusted here",
		clip(cert.SubjectAlternativeName), clip(cert.Issuer), len(p.identities))
}

// describeLeaf adds to a refusal when the certificate was valid, and when it
// signed as far as that is proven.
func (c *checker) describeLeaf(leaf *x509.Certificate, e evidence) string {
	text := fmt.Sprintf(" (valid %s to %s", leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	stamps, _, err := sigverify.VerifySignedTimestamp(e, c.material(e))
	if err == nil && len(stamps) > 0 {
		text += ", timestamp " + stamps[0].Time.UTC().Format(time.RFC3339)
	}
	return text + ")"
}
