// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// TestLoggedAsCosignDoes: what verifytest says cosign 2 stores of an attestation
// with a certificate and a log entry is what cosign 2 itself verifies, and so do
// we. Without the entry, both refuse it.
func TestLoggedAsCosignDoes(t *testing.T) {
	c, s := findCosign(t, 2), newSite(t, testregistry.Options{})
	sigstore := verifytest.NewGoodSigstore(t)
	trustedRoot := sigstore.TrustedRoot(t, verifytest.Trust{})
	c.trustThrough(t, trustedRoot)
	for name, logged := range map[string]bool{"logged": true, "not logged": false} {
		t.Run(name, func(t *testing.T) {
			ref := s.fresh(t)
			statement := strings.Replace(verifytest.Statement(ref.Digest(), "https://slsa.dev/provenance/v1"), "Statement/v1", "Statement/v0.1", 1)
			envelope, annotations := sigstore.LegacyAttestation(t, statement, func(how *verifytest.Signing) {
				how.Stamped = false
				// Fulcio's older form of the issuer, the one that cosign 2 reads.
				how.Template.ExtraExtensions = append(how.Template.ExtraExtensions,
					pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(verifytest.Issuer)})
			})
			if !logged {
				delete(annotations, schemas.AnnotationCosignBundle)
			}
			s.putAttestation(t, ref, envelope, annotations)
			err := c.run(t, "verify-attestation", "--offline", "--insecure-ignore-sct", "--type", "slsaprovenance1",
				"--certificate-identity", verifytest.Subject, "--certificate-oidc-issuer", verifytest.Issuer, ref.String())
			if (err == nil) != logged {
				t.Errorf("cosign 2 says %v", err)
			}
			if err := s.checkIdentityAttested(t, ref, trustedRoot); (err == nil) != logged {
				t.Errorf("we say %v", err)
			}
		})
	}
}

// checkIdentityAttested signs ref by a key and verifies it by a policy that wants
// provenance by the identity of verifytest.
func (s *site) checkIdentityAttested(t *testing.T, ref image.Reference, trustedRoot []byte) error {
	t.Helper()
	signer := ourKeys(t)
	s.sign(t, signer, ref, sign.Options{})
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "root.json"), trustedRoot)
	writeFile(t, filepath.Join(dir, "policy.yaml"), fmt.Appendf(nil, `version: 1
trustedRoot: root.json
rules:
- repository: %s
  keys: [%s]
  attestations: [{type: slsaprovenance1, identities: [{issuer: %q, subject: %q}]}]
`, ref.Name(), signer.public, verifytest.Issuer, verifytest.Subject))
	return s.checkPolicy(t, ref, filepath.Join(dir, "policy.yaml"))
}

// trustThrough gives cosign a trusted root's authorities and logs in the variables
// that its older verification reads them from.
func (c cosign) trustThrough(t *testing.T, trustedRoot []byte) {
	t.Helper()
	material := verifytest.Must[*root.TrustedRoot](t)(root.NewTrustedRootFromJSON(trustedRoot))
	var chain, logs bytes.Buffer
	encode := func(to *bytes.Buffer, kind string, der []byte) {
		if err := pem.Encode(to, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range material.FulcioCertificateAuthorities() {
		authority, ok := a.(*root.FulcioCertificateAuthority)
		if !ok {
			t.Fatalf("an authority of type %T", a)
		}
		for _, cert := range append(authority.Intermediates, authority.Root) {
			encode(&chain, "CERTIFICATE", cert.Raw)
		}
	}
	for _, log := range material.RekorLogs() {
		encode(&logs, "PUBLIC KEY", verifytest.Must[[]byte](t)(x509.MarshalPKIXPublicKey(log.PublicKey)))
	}
	for variable, data := range map[string][]byte{"SIGSTORE_ROOT_FILE": chain.Bytes(), "SIGSTORE_REKOR_PUBLIC_KEY": logs.Bytes()} {
		file := filepath.Join(c.home, variable)
		writeFile(t, file, data)
		t.Setenv(variable, file)
	}
}

// putAttestation puts an envelope where cosign 2 keeps those of ref.
func (s *site) putAttestation(t *testing.T, ref image.Reference, envelope []byte, annotations map[string]string) {
	t.Helper()
	put := func(mediaType string, data []byte) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		if err := s.client.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	layer := put(schemas.MediaTypeEnvelope, envelope)
	layer.Annotations = annotations
	data, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: put(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{layer},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := image.Manifest{Bytes: data, Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(data), Size: int64(len(data)),
	}}
	if err := s.client.PutManifest(t.Context(), ref.WithTag(strings.Replace(ref.Digest(), ":", "-", 1)+".att"), m); err != nil {
		t.Fatal(err)
	}
}
