// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
)

// padded is data with white space behind it, size bytes in all.
func padded(data []byte, size int) []byte {
	return append(bytes.Clone(data), bytes.Repeat([]byte(" "), size-len(data))...)
}

// withParts is a bundle with n timestamps, each of which adds a part: they are
// null.
func withParts(bundle []byte, n int) []byte {
	stamps := `"timestampVerificationData":{"rfc3161Timestamps":[null` + strings.Repeat(",null", n-1) + `]},`
	return bytes.Replace(bundle, []byte(`"verificationMaterial":{`), []byte(`"verificationMaterial":{`+stamps), 1)
}

// TestBounds: what is exactly at a limit is taken, and what is beyond is refused
// for that. At the limit the error, if there is one, is another.
func TestBounds(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	bundle := key.bundle(t, someOther).Bundle
	read := func(data []byte) error {
		_, err := parseBundle(data, maxBundle)
		return err
	}
	payload := payloadOf(someOther)
	base := len(payloadOf(someOther))
	text := func(n int) string { return strings.Repeat("A", n) }
	for _, tt := range []struct {
		name string
		max  int
		of   func(n int) error
		want string
	}{
		{"bytes of a bundle", maxBundle, func(n int) error { return read(padded(bundle, n)) }, "over the limit of 262144 bytes"},
		{"parts of a bundle", maxBundleParts, func(n int) error {
			return read(withParts(bundle, 1+n-countParts(withParts(bundle, 1))))
		}, "over the limit of 4096"},
		{"bytes of a payload", maxPayload, func(n int) error {
			_, err := parseSimpleSigning([]byte(payload + strings.Repeat(" ", n-base)))
			return err
		}, "over the limit of 65536 bytes"},
		{"bytes of a legacy signature", maxSignature, func(n int) error {
			_, err := legacySignature(text(n))
			return err
		}, "over the limit of 4096 bytes"},
		{"bytes of a legacy proof", maxLegacyProof, func(n int) error {
			return addLegacyProofs(new(protobundle.VerificationMaterial), map[string]string{schemas.AnnotationCosignBundle: text(n)})
		}, "over the limit of 32768"},
		{"bytes of an envelope", maxAttestation, func(n int) error {
			_, err := legacyAttestation(padded([]byte("{}"), n), nil, maxAttestation)
			return err
		}, "over the limit of 1048576 bytes"},
		{"bytes of the signature of an envelope", maxSignature, func(n int) error {
			_, err := readEnvelope([]byte(`{"payload":"","signatures":[{"sig":"` + text(n) + `"}]}`))
			return err
		}, "over the limit of 4096 bytes"},
		{"authorities", maxAuthorities, func(n int) error {
			return countAuthorities(&prototrustroot.TrustedRoot{CertificateAuthorities: make([]*prototrustroot.CertificateAuthority, n)})
		}, "certificate authorities, over the limit of 64"},
		{"timestamp authorities", maxAuthorities, func(n int) error {
			return countAuthorities(&prototrustroot.TrustedRoot{TimestampAuthorities: make([]*prototrustroot.CertificateAuthority, n)})
		}, "timestamp authorities, over the limit of 64"},
		{"logs", maxAuthorities, func(n int) error {
			return countAuthorities(&prototrustroot.TrustedRoot{Tlogs: make([]*prototrustroot.TransparencyLogInstance, n)})
		}, "transparency logs, over the limit of 64"},
		{"logs of certificates", maxAuthorities, func(n int) error {
			return countAuthorities(&prototrustroot.TrustedRoot{Ctlogs: make([]*prototrustroot.TransparencyLogInstance, n)})
		}, "certificate logs, over the limit of 64"},
		{"bytes of a key", MaxKey, func(n int) error {
			_, err := ParseKey(padded(key.PEM, n), "k.pub")
			return err
		}, "over the limit of 65536 bytes"},
		{"bits of an RSA key", maxRSA, func(n int) error {
			modulus := new(big.Int).Lsh(big.NewInt(1), uint(n-1))
			return checkStrength(&rsa.PublicKey{N: modulus.Add(modulus, big.NewInt(1)), E: 65537})
		}, "RSA key of 8193 bits"},
		{"bytes of a trusted root", MaxTrustedRoot, func(n int) error {
			_, err := ParseTrustedRoot(padded([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), n), "tr.json")
			return err
		}, "over the limit of 1048576 bytes"},
		{"bytes of a policy", MaxPolicy, func(n int) error {
			_, err := parsePolicy(padded([]byte(`{"version":1,"rules":[]}`), n), "p.yaml", fakeFiles{})
			return err
		}, "over the limit of 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.of(tt.max); err != nil && strings.Contains(err.Error(), "limit") || err != nil && strings.Contains(err.Error(), tt.want) {
				t.Errorf("at the limit: %v", err)
			}
			if err := tt.of(tt.max + 1); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("one more: %v, want %q", err, tt.want)
			}
		})
	}
}

// TestSignatureAmongAttestations: where attestations are demanded, and may be
// large, a signature may not.
func TestSignatureAmongAttestations(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	files := fakeFiles{keys: map[string]*testKey{"k": key}}
	d := digestOf(newImage(t))
	for size, want := range map[int]string{maxBundle: "", maxBundle + 1: "is over the limit of 262144 bytes for a signature"} {
		img := newImage(t)
		signature := candidateOf(padded(key.bundle(t, d).Bundle, size))
		img.Candidates = []pull.Candidate{signature, candidateOf(key.envelope(t, inToto, attested(d, slsa1, `{}`)))}
		v, err := Check(t.Context(), img, policyFor(t, files, "  keys: [k]\n  attestations: [{type: slsaprovenance1}]\n"))
		checkDecision(t, img, v, err, want)
	}
}

// TestGoodAt: a key may sign from the first instant of its time to the last.
func TestGoodAt(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.Add(time.Hour)
	for _, tt := range []struct {
		name string
		key  Key
		at   time.Time
		want bool
	}{
		{"first", Key{NotBefore: from, NotAfter: to}, from, true},
		{"before", Key{NotBefore: from, NotAfter: to}, from.Add(-1), false},
		{"last", Key{NotBefore: from, NotAfter: to}, to, true},
		{"after", Key{NotBefore: from, NotAfter: to}, to.Add(1), false},
		{"without a beginning", Key{NotAfter: to}, time.Time{}, true},
		{"without an end", Key{NotBefore: from}, to.AddDate(100, 0, 0), true},
	} {
		if err := tt.key.goodAt(tt.at, "then"); (err == nil) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestMomentaryKey: a key whose time ends as it begins could never sign, but for
// that instant.
func TestMomentaryKey(t *testing.T) {
	t.Parallel()
	const rule = "version: 1\nrules: [{repository: reg.io/a, keys: [{file: a, notBefore: 2026-01-01T00:00:00Z, notAfter: %s}]}]\n"
	for end, want := range map[string]bool{"2026-01-01T00:00:00Z": false, "2026-01-01T00:00:01Z": true} {
		if _, err := parsePolicy(fmt.Appendf(nil, rule, end), "p.yaml", fakeFiles{}); (err == nil) != want {
			t.Errorf("to %s: %v", end, err)
		}
	}
}

// TestEarliestProof: of several proofs when something was signed, the earliest
// counts.
func TestEarliestProof(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	img := newImage(t)
	ago := 3 * time.Minute
	logged := time.Now().Add(-ago)
	img.Candidates = []pull.Candidate{s.keyless(t, digestOf(img), func(how *signing) { how.Logged = logged })}
	v, err := Check(t.Context(), img, s.trustIdentity(t))
	if err != nil {
		t.Fatal(err)
	}
	if at := v.Signers()[0].SignedAt; at == nil || at.Unix() != logged.Unix() {
		t.Errorf("signed at %v, want %v, when it was logged and not yet stamped", at, logged)
	}
}

// TestLegacyCertificate: the annotation holds one certificate and nothing else.
func TestLegacyCertificate(t *testing.T) {
	t.Parallel()
	one := string(pemOf("CERTIFICATE", []byte("x")))
	for _, tt := range []struct {
		name, text string
		want       bool
	}{
		{"one", one, true},
		{"space behind it", one + " \n", true},
		{"two", one + one, false},
		{"text behind it", one + "x", false},
		{"a key", string(pemOf("PUBLIC KEY", []byte("x"))), false},
	} {
		err := addLegacyProofs(new(protobundle.VerificationMaterial), map[string]string{schemas.AnnotationCosignCertificate: tt.text})
		if (err == nil) != tt.want || err != nil && !strings.Contains(err.Error(), "not one certificate in PEM") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestStrictBase64: bits behind the last byte, which some readers ignore, are
// refused: a signature has one spelling.
func TestStrictBase64(t *testing.T) {
	t.Parallel()
	const loose = "QR==" // "A", and a bit more
	if _, err := base64.StdEncoding.DecodeString(loose); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"signature": func() error {
			_, err := legacySignature(loose)
			return err
		},
		"signature of an envelope": func() error {
			_, err := readEnvelope([]byte(`{"payload":"","signatures":[{"sig":"` + loose + `"}]}`))
			return err
		},
		"payload of an envelope": func() error {
			_, err := readEnvelope([]byte(`{"payload":"` + loose + `","signatures":[{"sig":""}]}`))
			return err
		},
	} {
		if err := read(); err == nil || !strings.Contains(err.Error(), "not base64") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOldBundleName: the media type of a bundle as it was spelled first, and no
// other.
func TestOldBundleName(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for mediaType, want := range map[string]string{
		schemas.MediaTypeBundle:                                "",
		"application/vnd.dev.sigstore.bundle+json;version=0.3": "",
		"application/vnd.dev.sigstore.bundle+json;version=0.2": "has the bundle version",
	} {
		img := newImage(t)
		img.Candidates = []pull.Candidate{key.bundle(t, digestOf(img), func(b *protobundle.Bundle) { b.MediaType = mediaType })}
		v, err := Check(t.Context(), img, Keys{key.Key})
		checkOutcome(t, img, v, err, want)
	}
}

// TestIdentityWithoutRoot: where no authority is trusted, a certificate says
// nothing, in either form.
func TestIdentityWithoutRoot(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	img := newImage(t)
	for _, c := range []pull.Candidate{s.keyless(t, digestOf(img)), s.keylessLegacy(t, payloadOf(digestOf(img)))} {
		trust := s.trustIdentity(t)
		trust.rule.root = nil
		img.Candidates = []pull.Candidate{c}
		v, err := Check(t.Context(), img, trust)
		checkOutcome(t, img, v, err, "only keys are trusted here")
	}
}

// TestSignersRootMustDo: a trusted root by which no identity could ever sign is
// refused as soon as it is given.
func TestSignersRootMustDo(t *testing.T) {
	t.Parallel()
	empty := must[*TrustedRoot](t)(ParseTrustedRoot([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), "tr.json"))
	_, err := NewSigners(nil, []schemas.PolicyIdentity{{Issuer: testIssuer, Subject: testSubject}}, empty)
	if err == nil || !strings.Contains(err.Error(), "names no certificate authority") {
		t.Errorf("error %v", err)
	}
}
