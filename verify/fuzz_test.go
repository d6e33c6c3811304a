// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"google.golang.org/protobuf/proto"
)

// FuzzBundle: no bundle is accepted that does not mean what the key signed.
func FuzzBundle(f *testing.F) {
	key := fixedKey(f)
	c := newTestChecker(f, someOther, key)
	good := key.bundle(f, someOther).Bundle
	want, err := meaning(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(newKey(f).bundle(f, someOther).Bundle)
	f.Add(key.envelope(f, inToto, statementOf(someOther, "https://slsa.dev/provenance/v1")))
	f.Add([]byte(`{"mediaType":"` + schemas.MediaTypeBundle + `","verificationMaterial":{"publicKey":{},"tlogEntries":[{}]},"dsseEnvelope":{"signatures":[{}]}}`))
	f.Add([]byte(`{"mediaType":"` + schemas.MediaTypeBundle + `","verificationMaterial":{"certificate":{"rawBytes":"MA=="}},"messageSignature":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := c.checkBundle(t.Context(), data, new(Attempt)); err != nil {
			return
		}
		got, err := meaning(data)
		if err != nil {
			t.Fatal(err)
		}
		// Two further things that are not signed: log entries and timestamps, which
		// a key needs none of, and the old spelling of the version.
		got.MediaType = want.MediaType
		got.VerificationMaterial.TlogEntries, got.VerificationMaterial.TimestampVerificationData = nil, nil
		// The signature holds, or it were not accepted; it is another each time.
		got.GetDsseEnvelope().Signatures = want.GetDsseEnvelope().Signatures
		if !proto.Equal(want, got) {
			t.Errorf("accepted %q", data)
		}
	})
}

// FuzzLegacy: no payload is accepted but the one the key signed.
func FuzzLegacy(f *testing.F) {
	key := fixedKey(f)
	c := newTestChecker(f, someOther, key)
	good := key.legacy(f, payloadOf(someOther))
	sig := good.Annotations[schemas.AnnotationCosignSignature]
	f.Add(good.Payload, sig)
	f.Add([]byte(`{"critical":{"type":1},"optional":[[[`), sig)
	f.Add([]byte(`{"critical":{"identity":{},"image":{"docker-manifest-digest":"`+someOther+`"},"type":"`+legacyType+`"}}`), "AAAA")
	f.Fuzz(func(t *testing.T, payload []byte, sig string) {
		_, err := c.checkLegacy(pull.Candidate{Payload: payload, Annotations: map[string]string{schemas.AnnotationCosignSignature: sig}}, new(Attempt))
		if err == nil && !bytes.Equal(payload, good.Payload) {
			t.Errorf("accepted %q with %q", payload, sig)
		}
	})
}

// FuzzPolicy: a policy that is accepted trusts somebody for each of its rules,
// and nobody for a registry it does not name.
func FuzzPolicy(f *testing.F) {
	files := fakeFiles{trustedRoot: newGoodSigstore(f).trusted}
	f.Add([]byte("version: 1\nrules:\n  - {repository: reg.io/a, keys: [a]}\n  - {repository: 'reg.io/*', keys: [b, c]}\n"))
	f.Add([]byte("version: 1\nrules: &r\n  - &x {repository: docker.io/a/b, keys: [a]}\n"))
	f.Add([]byte("version: 1\nrules: []\n---\n"))
	f.Add([]byte("version: 1\ntrustedRoot: t\nrules: [{repository: reg.io/a, threshold: 2, keys: [{file: a, notAfter: 2027-01-01T00:00:00Z}], identities: [{issuer: i, subjectPattern: '^(a|b)$'}], attestations: [{type: spdx, condition: 'predicate.a == 1'}], allow: {types: [xdp]}}]\n"))
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\nversion: [*b,*b]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := parsePolicy(data, "p.yaml", files)
		if err != nil {
			return
		}
		for pattern := range p.rules {
			repository := strings.Replace(pattern, "*", "x", 1)
			if rule, err := p.Rule(repository); err != nil || rule.signers.count() == 0 {
				t.Errorf("rule %q does not match %q: %v", pattern, repository, err)
			}
			if _, err := p.Rule("unnamed.example:1/x"); err == nil && !strings.HasPrefix(pattern, "unnamed.example:1/") && len(p.rules) == 1 {
				t.Errorf("rule %q matches another registry", pattern)
			}
		}
	})
}

// FuzzKey: a key that is accepted reads back as itself.
func FuzzKey(f *testing.F) {
	for _, key := range allKinds(f) {
		f.Add(key.PEM)
	}
	f.Add(pemOf("PRIVATE KEY", []byte("x")))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseKey(data, "a.pub")
		if err != nil {
			return
		}
		again, err := ParseKey(key.PEM, "a.pub")
		if err != nil || again.ID != key.ID {
			t.Errorf("%q reads back as %v: %v", key.PEM, again, err)
		}
		if _, err := newVerifier(key); err != nil {
			t.Errorf("%q makes no verifier: %v", key.PEM, err)
		}
	})
}
