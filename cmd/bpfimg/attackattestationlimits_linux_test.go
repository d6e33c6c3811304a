// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// demanding writes a policy that asks for provenance of all images of the rig.
func (v *victim) demanding() {
	v.t.Helper()
	v.write("demanding.yaml", []byte(strings.Replace(demandsByKey, "REPO", v.host+"/team/*", 1)))
}

// attestationExhaustions are rows of [TestExhaustion].
func attestationExhaustions(t *testing.T) []exhaustion {
	const command = "verify --policy demanding.yaml"
	good := func(v *victim) attestation { return legacyAttestation(v.key.LegacyAttestation(t, attests(v.good))) }
	return []exhaustion{
		{name: "sixty large attestations", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			all := make([]attestation, 60)
			for i := range all {
				all[i].envelope = append([]byte(`{"payload":"`), bytes.Repeat([]byte{byte('A' + i)}, 1_000_000)...)
			}
			v.attest(v.good, append(all, good(v))...)
		}, want: "verified"},
		{name: "sixty attestations of nothing but brackets", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			all := make([]attestation, 60)
			for i := range all {
				all[i].envelope = append(bytes.Repeat([]byte(`{"a":[`), 10_000), byte('A'+i))
			}
			v.attest(v.good, append(all, good(v))...)
		}, want: "verified"},
		{name: "attestation that says it is small and never ends", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			junk := attestation{envelope: []byte("junk")}
			v.attest(v.good, junk, good(v))
			v.fault("/blobs/"+v.blob(schemas.MediaTypeEnvelope, junk.envelope).Digest.String(), testregistry.Flood("application/octet-stream", -1), 0)
		}, want: "verified"},
		{name: "list of attestations that never ends", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			v.fault("/manifests/"+attestationTag(v.good), testregistry.Flood(ocispec.MediaTypeImageManifest, -1), 0)
		}, code: exitNotTrusted, want: "over the size limit"},
	}
}
