// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/sigstore/pkg/signature"
)

// legacyAttestation attests something of the example as cosign 2 does, and
// returns the manifest and the envelope once a policy that requires it was
// satisfied.
func (k *kit) legacyAttestation(signer signature.SignerVerifier, public []byte) (manifest, envelope string) {
	t := k.t
	t.Helper()
	const reviewed = "https://example.com/legacy-review/v1"
	subject := k.built.Manifest.Descriptor.Digest
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":%q,"subject":[{"name":%q,"digest":{"sha256":%q}}],"predicate":{"verdict":"approved"}}`,
		reviewed, k.ref.Name(), subject.Encoded())
	sig, err := signer.SignMessage(bytes.NewReader(dsse.PAE(verifytest.PayloadType, []byte(statement))))
	if err != nil {
		t.Fatal(err)
	}
	content := verifytest.Envelope(t, verifytest.PayloadType, statement, sig)
	layer := k.put(schemas.MediaTypeEnvelope, content)
	layer.Annotations = map[string]string{schemas.AnnotationCosignSignature: "", "predicateType": reviewed}
	data := verifytest.Must[[]byte](t)(json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: k.put(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{layer},
	}))
	at := k.ref.WithTag(strings.Replace(subject.String(), ":", "-", 1) + ".att")
	if err := k.store.PutManifest(t.Context(), at, image.Manifest{Bytes: data, Descriptor: descriptorOf(ocispec.MediaTypeImageManifest, data)}); err != nil {
		t.Fatal(err)
	}
	k.approved(public, reviewed)
	return indent(t, data), indent(t, content)
}

func descriptorOf(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

func (k *kit) put(mediaType string, data []byte) ocispec.Descriptor {
	k.t.Helper()
	desc := descriptorOf(mediaType, data)
	if err := k.store.PutBlob(k.t.Context(), k.ref, desc, data, ""); err != nil {
		k.t.Fatal(err)
	}
	return desc
}
