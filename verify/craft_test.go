// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// counterObject is the XDP packet counter every test image carries.
const counterObject = "../examples/xdp-counter/counter.bpf.o"

// testKey signs whatever it is told to, right or wrong.
type testKey struct {
	Key
	signer signature.SignerVerifier
}

func newKey(t testing.TB) *testKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, private, crypto.SHA256)
}

// fixedKey is the same in every process: a fuzz worker must accept what the
// coordinator signed.
func fixedKey(t testing.TB) *testKey {
	t.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, private, crypto.SHA256)
}

func keyOf(t testing.TB, private crypto.Signer, hash crypto.Hash) *testKey {
	t.Helper()
	signer, err := signature.LoadSignerVerifier(private, hash)
	if err != nil {
		t.Fatal(err)
	}
	return &testKey{Key: publicOf(t, private), signer: signer}
}

func publicOf(t testing.TB, private crypto.Signer) Key {
	t.Helper()
	data, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(data, "test.pub")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// allKinds makes one key of every kind and hash that is accepted.
func allKinds(t testing.TB) map[string]*testKey {
	t.Helper()
	kinds := map[string]*testKey{}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		kinds[name+" with SHA-256"] = keyOf(t, private, crypto.SHA256)
		switch curve {
		case elliptic.P384():
			kinds[name] = keyOf(t, private, crypto.SHA384)
		case elliptic.P521():
			kinds[name] = keyOf(t, private, crypto.SHA512)
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	kinds["Ed25519"] = keyOf(t, ed, crypto.SHA512)
	prehashed, err := signature.LoadED25519phSignerVerifier(ed)
	if err != nil {
		t.Fatal(err)
	}
	kinds["Ed25519ph"] = &testKey{Key: publicOf(t, ed), signer: prehashed}
	private, err := rsa.GenerateKey(rand.Reader, minRSA)
	if err != nil {
		t.Fatal(err)
	}
	kinds["RSA"] = keyOf(t, private, crypto.SHA256)
	return kinds
}

func (k *testKey) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	sig, err := k.signer.SignMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// statement is a signature statement about d.
func statementOf(d, predicate string) string {
	return fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		statementType, digest.Digest(d).Encoded(), predicate)
}

// envelope signs payload as payloadType and makes a bundle of it, which change
// may rewrite afterwards.
func (k *testKey) envelope(t testing.TB, payloadType, payload string, change ...func(*protobundle.Bundle)) []byte {
	t.Helper()
	b := &protobundle.Bundle{
		MediaType: schemas.MediaTypeBundle,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: "hint"}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: []byte(payload), PayloadType: payloadType,
			Signatures: []*protodsse.Signature{{Sig: k.sign(t, dsse.PAE(payloadType, []byte(payload)))}},
		}},
	}
	for _, f := range change {
		f(b)
	}
	data, err := protojson.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

const inToto = "application/vnd.in-toto+json"

// bundle is a good signature of d, change aside.
func (k *testKey) bundle(t testing.TB, d string, change ...func(*protobundle.Bundle)) pull.Candidate {
	t.Helper()
	return candidateOf(k.envelope(t, inToto, statementOf(d, schemas.PredicateCosignSign), change...))
}

func candidateOf(bundle []byte) pull.Candidate {
	return pull.Candidate{Kind: pull.KindBundle, Manifest: digest.FromBytes(bundle).String(), Bundle: bundle}
}

func payloadOf(d string) string {
	return fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"reg.example/a"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, d, legacyType)
}

// legacy is a legacy signature of payload.
func (k *testKey) legacy(t testing.TB, payload string) pull.Candidate {
	t.Helper()
	return pull.Candidate{
		Kind: pull.KindLegacy, Manifest: digest.FromString(payload).String(), Payload: []byte(payload),
		Annotations: map[string]string{
			schemas.AnnotationCosignSignature: base64.StdEncoding.EncodeToString(k.sign(t, []byte(payload))),
		},
	}
}

// legacyEnvelope is an attestation of statement as cosign 2 stored it.
func (k *testKey) legacyEnvelope(t testing.TB, payloadType, statement string) pull.Candidate {
	t.Helper()
	return legacyStatement(verifytest.Envelope(t, payloadType, statement, k.sign(t, dsse.PAE(payloadType, []byte(statement)))),
		map[string]string{schemas.AnnotationCosignSignature: "", "predicateType": "whatever"})
}

func legacyStatement(envelope []byte, annotations map[string]string) pull.Candidate {
	return pull.Candidate{
		Kind: pull.KindLegacyAttestation, Manifest: digest.FromBytes(envelope).String(),
		Payload: envelope, Annotations: annotations,
	}
}

func manifestOf(t testing.TB, mediaType string, content any) image.Manifest {
	t.Helper()
	data, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return image.Manifest{Bytes: data, Descriptor: ocispec.Descriptor{
		MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data)),
	}}
}

// newImage is an unsigned single-platform image of the packet counter, as
// package pull returns it.
func newImage(t testing.TB) *pull.Image {
	t.Helper()
	object, err := os.ReadFile(counterObject)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := image.ParseReference("reg.example/net/xdp-counter:v1")
	if err != nil {
		t.Fatal(err)
	}
	config := []byte(`{}`)
	m := manifestOf(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: 2},
	})
	return &pull.Image{
		Reference: ref, Root: m, Manifest: m, Config: config, Format: pull.FormatBpfimg,
		Objects: []pull.Object{{File: "counter.bpf.o", Bytes: object, Digest: digest.FromBytes(object).String()}},
	}
}

// underIndex puts img under an index that lists children.
func underIndex(t testing.TB, img *pull.Image, children ...digest.Digest) {
	t.Helper()
	var index ocispec.Index
	for _, d := range children {
		index.Manifests = append(index.Manifests, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d})
	}
	img.Root = manifestOf(t, ocispec.MediaTypeImageIndex, index)
}

func digestOf(img *pull.Image) string { return img.Manifest.Descriptor.Digest.String() }
