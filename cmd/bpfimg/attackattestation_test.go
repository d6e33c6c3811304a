// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// attestation is what stands at cosign 2's tag for one: an envelope and the
// annotations beside it.
type attestation struct {
	envelope    []byte
	annotations map[string]string
	mediaType   string // default: that of an envelope
}

func legacyAttestation(envelope []byte, annotations map[string]string) attestation {
	return attestation{envelope: envelope, annotations: annotations}
}

// attest puts attestations where cosign 2 kept those of subject.
func (v *victim) attest(subject ocispec.Descriptor, all ...attestation) {
	v.t.Helper()
	m := ocispec.Manifest{Config: v.blob(ocispec.MediaTypeImageConfig, []byte(`{}`))}
	for _, a := range all {
		mediaType := a.mediaType
		if mediaType == "" {
			mediaType = schemas.MediaTypeEnvelope
		}
		layer := v.blob(mediaType, a.envelope)
		layer.Annotations = a.annotations
		m.Layers = append(m.Layers, layer)
	}
	v.manifest(attestationTag(subject), m)
}

func attestationTag(subject ocispec.Descriptor) string {
	return "sha256-" + subject.Digest.Encoded() + ".att"
}

// attests is a statement of that type about image.
func attests(image ocispec.Descriptor) string {
	return verifytest.Statement(image.Digest.String(), provenanceType)
}

// Policies that demand provenance, by the key or by the identity.
const (
	demandsByKey = "version: 1\nrules: [{repository: REPO, keys: [cosign.pub], attestations: [{type: slsaprovenance1}]}]\n"
	demandsByID  = "version: 1\ntrustedRoot: root.json\nrules: [{repository: REPO, keys: [cosign.pub], attestations: [{type: slsaprovenance1, identities: [{issuer: '" +
		verifytest.Issuer + "', subject: '" + verifytest.Subject + "'}]}]}]\n"
)

// TestAttestationAttacks asks the command about signed images whose policy
// demands provenance, which is at cosign 2's tag and wrong in one way.
func TestAttestationAttacks(t *testing.T) {
	r := newAttackRig(t)
	for i, row := range attestationAttacks(t) {
		if row.policy == "" {
			row.policy = demandsByKey
		}
		t.Run(row.name, func(t *testing.T) { r.run(t, i, row) })
	}
}

func attestationAttacks(t *testing.T) []attack {
	// signed makes a signed image with one attestation.
	signed := func(make func(v *victim) attestation) func(v *victim) {
		return func(v *victim) {
			v.sign(v.good)
			v.attest(v.good, make(v))
		}
	}
	by := func(key func(v *victim) *verifytest.Key, about func(v *victim) string) func(v *victim) attestation {
		return func(v *victim) attestation { return legacyAttestation(key(v).LegacyAttestation(t, about(v))) }
	}
	trusted := func(v *victim) *verifytest.Key { return v.key }
	stranger := func(v *victim) *verifytest.Key { return v.stranger }
	right := func(v *victim) string { return attests(v.good) }
	keyless := func(changes ...func(*verifytest.Signing)) func(v *victim) attestation {
		return func(v *victim) attestation {
			return legacyAttestation(v.sigstore.LegacyAttestation(t, right(v), changes...))
		}
	}
	return []attack{
		{name: "attested, as cosign 2 did", prepare: signed(by(trusted, right)), want: "verified"},
		{name: "attested with a certificate, as cosign 2 did", prepare: signed(keyless()), policy: demandsByID, want: "verified"},
		{name: "junk beside a good attestation", prepare: func(v *victim) {
			v.sign(v.good)
			good := by(trusted, right)(v)
			v.attest(v.good, attestation{envelope: []byte("junk")}, attestation{envelope: []byte("x"), mediaType: "text/plain"},
				by(stranger, right)(v), good, attestation{envelope: []byte(`{"payload":`)})
		}, want: "verified"},
		{name: "no attestation", prepare: func(v *victim) { v.sign(v.good) }, code: exitNotTrusted, want: "no valid attestation slsaprovenance1"},
		{name: "attestation alone, as cosign 2 did", prepare: func(v *victim) {
			v.attest(v.good, by(trusted, right)(v))
		}, code: exitNotTrusted, want: "no valid signature"},
		{name: "signature at the tag for attestations", prepare: func(v *victim) {
			v.attest(v.good, by(trusted, func(v *victim) string { return signs(v.good) })(v), by(trusted, right)(v))
		}, code: exitNotTrusted, want: "says that it is a signature"},
		{name: "attestation at the tag for signatures", prepare: func(v *victim) {
			envelope, annotations := v.key.LegacyAttestation(t, right(v))
			v.attachLegacy(v.good, string(envelope), annotations)
		}, code: exitNotTrusted, want: "not a simple-signing payload"},
		{name: "attestation by another key", prepare: signed(by(stranger, right)), code: exitNotTrusted, want: "not signed by a trusted key"},
		{name: "attestation about another image", prepare: signed(by(trusted, func(v *victim) string { return attests(v.evil) })), code: exitNotTrusted, want: "signs another image"},
		{name: "attestation rewritten", prepare: signed(func(v *victim) attestation {
			about, _ := v.key.LegacyAttestation(t, attests(v.evil))
			mine, annotations := v.stranger.LegacyAttestation(t, right(v))
			cut := func(b []byte) (head, tail string) {
				head, tail, _ = strings.Cut(string(b), `"signatures"`)
				return head, tail
			}
			head, _ := cut(mine)
			_, tail := cut(about)
			return attestation{envelope: []byte(head + `"signatures"` + tail), annotations: annotations}
		}), code: exitNotTrusted, want: "changed after it was signed"},
		{name: "attestation of another type, annotated as the right one", prepare: signed(func(v *victim) attestation {
			a := by(trusted, func(v *victim) string {
				return verifytest.Statement(v.good.Digest.String(), "https://spdx.dev/Document")
			})(v)
			a.annotations["predicateType"] = provenanceType
			return a
		}), code: exitNotTrusted, want: "is an attestation .*spdx"},
		{name: "attestation with an expired certificate", prepare: signed(keyless(func(how *verifytest.Signing) {
			how.Template.NotAfter = how.Logged.Add(-time.Minute)
		})), policy: demandsByID, code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "attestation with the log entry of another", prepare: signed(func(v *victim) attestation {
			a := keyless()(v)
			a.annotations[schemas.AnnotationCosignBundle] = keyless()(v).annotations[schemas.AnnotationCosignBundle]
			return a
		}), policy: demandsByID, code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "attestation without a log entry", prepare: signed(func(v *victim) attestation {
			a := keyless()(v)
			delete(a.annotations, schemas.AnnotationCosignBundle)
			return a
		}), policy: demandsByID, code: exitNotTrusted, want: "no entry of a transparency log"},
		{name: "attestation by another identity", prepare: signed(keyless(func(how *verifytest.Signing) {
			how.Template = verifytest.Certificate(t, verifytest.Subject+"x", verifytest.Issuer)
		})), policy: demandsByID, code: exitNotTrusted, want: "another identity"},
		{name: "a good attestation behind 64 others", prepare: func(v *victim) {
			v.sign(v.good)
			all := make([]attestation, 64, 65)
			for i := range all {
				all[i].envelope = bytes.Repeat([]byte{'x'}, i+1)
			}
			v.attest(v.good, append(all, by(trusted, right)(v))...)
		}, code: exitNotTrusted, want: "no valid attestation"},
	}
}
