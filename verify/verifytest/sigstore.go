// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package verifytest makes signatures that are right, or wrong in one way, for
// the tests of everything that must tell them apart: by a key, or by an authority
// with a log and timestamps of its own. Nothing that runs on a node imports it.
//
// Doors: [NewKey], [NewSigstore], [Sigstore.Sign].
package verifytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

// The identity that signs unless a test says otherwise.
const (
	Issuer     = "https://issuer.example"
	Subject    = "https://git.example/acme/x/.github/workflows/build.yml@refs/heads/main"
	SourceRepo = "https://git.example/acme/x"
	SourceRef  = "refs/heads/main"
)

// Sigstore is a certificate authority of our own, whose certificates can be
// wrong in any way, with a virtual log and timestamp authority.
type Sigstore struct {
	virtual *ca.VirtualSigstore
	root    *x509.Certificate
	between *x509.Certificate // the intermediate
	key     *ecdsa.PrivateKey // of the intermediate
}

// Must returns the value of a call, or ends the test: Must[T](t)(f()).
func Must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// NewSigstore makes one whose intermediate certificate is valid from start to
// end, counted from now.
func NewSigstore(t testing.TB, start, end time.Duration) *Sigstore {
	t.Helper()
	s := &Sigstore{virtual: Must[*ca.VirtualSigstore](t)(ca.NewVirtualSigstore()), key: newECDSA(t)}
	rootCert, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		t.Fatal(err)
	}
	s.root = rootCert
	s.between = signCert(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "between"},
		NotBefore: time.Now().Add(start), NotAfter: time.Now().Add(end),
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, IsCA: true,
	}, rootCert, s.key.Public(), rootKey)
	return s
}

// NewGoodSigstore makes one that is valid now.
func NewGoodSigstore(t testing.TB) *Sigstore { return NewSigstore(t, -time.Hour, time.Hour) }

// Trust says what of a [Sigstore] a trusted root names; the zero value is its
// authority, its log and its timestamp authority.
type Trust struct {
	NoLog, NoTimestamps bool
	// CertificateLogs adds logs of certificates, which no certificate here is in.
	CertificateLogs bool
}

// TrustedRoot is the trusted_root.json that trusts it.
func (s *Sigstore) TrustedRoot(t testing.TB, trust Trust) []byte {
	t.Helper()
	var (
		logs, ctLogs map[string]*root.TransparencyLog
		stamps       []root.TimestampingAuthority
	)
	if !trust.NoLog {
		logs = realIDs(t, s.virtual.RekorLogs())
	}
	if trust.CertificateLogs {
		ctLogs = realIDs(t, s.virtual.CTLogs())
	}
	if !trust.NoTimestamps {
		stamps = s.virtual.TimestampingAuthorities()
	}
	authority := &root.FulcioCertificateAuthority{Root: s.root, Intermediates: []*x509.Certificate{s.between}, URI: "https://ca.example"}
	material := Must[*root.TrustedRoot](t)(root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{authority}, ctLogs, stamps, logs))
	return Must[[]byte](t)(material.MarshalJSON())
}

// realIDs repairs the ids of virtual logs, which are text there.
func realIDs(t testing.TB, logs map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
	t.Helper()
	for id, log := range logs {
		log.ID = Must[[]byte](t)(hex.DecodeString(id))
	}
	return logs
}

// Certificate is the template of one for subject, vouched for by issuer and
// valid for the ten minutes around now.
func Certificate(t testing.TB, subject, issuer string) *x509.Certificate {
	t.Helper()
	return &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: time.Now().Add(-5 * time.Minute), NotAfter: time.Now().Add(5 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		URIs: []*url.URL{Must[*url.URL](t)(url.Parse(subject))},
		ExtraExtensions: []pkix.Extension{
			extension(t, 8, issuer), extension(t, 12, SourceRepo), extension(t, 14, SourceRef), extension(t, 18, subject),
		},
	}
}

// extension of a Fulcio certificate (sigstore/fulcio, docs/oid-info.md).
func extension(t testing.TB, number int, value string) pkix.Extension {
	t.Helper()
	der := Must[[]byte](t)(asn1.MarshalWithParams(value, "utf8"))
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, number}, Value: der}
}

func signCert(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der := Must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, parent, public, by))
	return Must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

func newECDSA(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return Must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func signASN1(t testing.TB, key *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	h := crypto.SHA256.New()
	h.Write(message)
	return Must[[]byte](t)(ecdsa.SignASN1(rand.Reader, key, h.Sum(nil)))
}
