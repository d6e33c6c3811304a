// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
)

const provenanceType = "https://slsa.dev/provenance/v1"

// rewritten replaces the statement of a bundle after it was signed.
func rewritten(statement string) func(*protobundle.Bundle) {
	return func(b *protobundle.Bundle) { b.GetDsseEnvelope().Payload = []byte(statement) }
}

// TestAttacks asks the command about images of an attacker who holds the
// registry and every signature the key ever made, but not the key; docs/attacks.md
// names each row. What is right is accepted all the same.
func TestAttacks(t *testing.T) {
	r := newAttackRig(t)
	for i, row := range keyAttacks(t) {
		t.Run(row.name, func(t *testing.T) { r.run(t, i, row) })
	}
}

func keyAttacks(t *testing.T) []attack {
	return []attack{
		{name: "unsigned", prepare: func(*victim) {}, code: exitNotTrusted, want: `is not trusted: it has no signature`},
		{name: "signed", prepare: func(v *victim) { v.attach(v.good, v.key.Sign(t, signs(v.good))) }, want: "verified"},
		{name: "signed, legacy", prepare: func(v *victim) {
			p := verifytest.Payload(v.good.Digest.String())
			v.attachLegacy(v.good, p, v.key.Legacy(t, p))
		}, want: "verified"},
		{name: "other key", prepare: func(v *victim) {
			v.attach(v.good, v.stranger.Sign(t, signs(v.good)))
		}, code: exitNotTrusted, want: "not signed by a trusted key"},
		{name: "other key, legacy", prepare: func(v *victim) {
			p := verifytest.Payload(v.good.Digest.String())
			v.attachLegacy(v.good, p, v.stranger.Legacy(t, p))
		}, code: exitNotTrusted, want: "not signed by a trusted key"},
		{name: "signature of another image", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, signs(v.evil)))
		}, code: exitNotTrusted, want: "signs another image"},
		{name: "signature of another image, legacy", prepare: func(v *victim) {
			p := verifytest.Payload(v.evil.Digest.String())
			v.attachLegacy(v.good, p, v.key.Legacy(t, p))
		}, code: exitNotTrusted, want: "signs another image"},
		{name: "statement rewritten after signing", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, signs(v.evil), rewritten(signs(v.good))))
		}, code: exitNotTrusted, want: "changed after it was signed"},
		{name: "payload rewritten after signing, legacy", prepare: func(v *victim) {
			good, evil := verifytest.Payload(v.good.Digest.String()), verifytest.Payload(v.evil.Digest.String())
			v.attachLegacy(v.good, good, v.key.Legacy(t, evil))
		}, code: exitNotTrusted, want: "changed after it was signed"},
		{name: "wrong predicate type", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, verifytest.Statement(v.good.Digest.String(), schemas.PredicateCosignSign+"x")))
		}, code: exitNotTrusted, want: "is an attestation"},
		{name: "attestation in place of a signature", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, verifytest.Statement(v.good.Digest.String(), provenanceType)))
		}, code: exitNotTrusted, want: "is an attestation"},
		{name: "attestation rewritten to a signature", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, verifytest.Statement(v.good.Digest.String(), provenanceType), rewritten(signs(v.good))))
		}, code: exitNotTrusted, want: "changed after it was signed"},
		{name: "second signature in the envelope", prepare: func(v *victim) {
			v.attach(v.good, v.stranger.Sign(t, signs(v.good), func(b *protobundle.Bundle) {
				old := verifytest.Parse(t, v.key.Sign(t, signs(v.evil))).GetDsseEnvelope().GetSignatures()[0]
				b.GetDsseEnvelope().Signatures = append([]*protodsse.Signature{old}, b.GetDsseEnvelope().GetSignatures()...)
			}))
		}, code: exitNotTrusted, want: "has 2 signatures"},
		{name: "bad referrers in front of a good one", prepare: func(v *victim) {
			v.attach(v.good, []byte("junk"))
			v.attach(v.good, []byte(`{"mediaType":"`+schemas.MediaTypeBundle+`"}`))
			v.attach(v.good, v.stranger.Sign(t, signs(v.good)))
			v.attach(v.good, v.key.Sign(t, signs(v.evil)))
			v.attach(v.good, v.key.Sign(t, signs(v.good)))
		}, want: "verified"},
		{name: "two valid signatures side by side", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, signs(v.good)))
			v.attach(v.good, v.key.Sign(t, signs(v.good), func(b *protobundle.Bundle) {
				b.GetVerificationMaterial().GetPublicKey().Hint = "another"
			}))
			p := verifytest.Payload(v.good.Digest.String())
			v.attachLegacy(v.good, p, v.key.Legacy(t, p))
		}, want: `(?s)signed by key.*bundle.*signed by key.*bundle.*signed by key.*legacy`},
		{name: "policy pins another repository", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, signs(v.good)))
		}, policy: "version: 1\nrules: [{repository: REPO-other, keys: [cosign.pub]}]\n", code: exitNotTrusted, want: "no rule of policy"},
		{name: "policy would match a look-alike repository", repository: "team-evil/app", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, signs(v.good)))
		}, policy: "version: 1\nrules: [{repository: HOST/team/*, keys: [cosign.pub]}]\n", code: exitNotTrusted, want: "no rule of policy"},
		{name: "policy matches the real one", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, signs(v.good)))
		}, policy: "version: 1\nrules: [{repository: HOST/team/*, keys: [cosign.pub]}]\n", want: "verified"},
	}
}
