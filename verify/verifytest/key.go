// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verifytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

// Types of a signed statement and of its envelope (in-toto/attestation,
// spec/v1/statement.md and envelope.md), and of a payload of cosign 2
// (sigstore/cosign, specs/SIGNATURE_SPEC.md).
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PayloadType   = "application/vnd.in-toto+json"
	LegacyType    = "cosign container image signature"
)

// Statement is a statement about the digest d ("sha256:<hex>"); that of a
// signature has the predicate type [schemas.PredicateCosignSign].
func Statement(d, predicateType string) string {
	return fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		StatementType, strings.TrimPrefix(d, "sha256:"), predicateType)
}

// Payload is what cosign 2 signed for the digest d.
func Payload(d string) string {
	return fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"reg.example/a"},"image":{"docker-manifest-digest":%q},"type":%q},"optional":null}`, d, LegacyType)
}

// Key signs whatever it is told to, right or wrong.
type Key struct{ private *ecdsa.PrivateKey }

// NewKey makes one on P-256.
func NewKey(t testing.TB) *Key {
	t.Helper()
	return &Key{newECDSA(t)}
}

// PEM is the public key.
func (k *Key) PEM(t testing.TB) []byte {
	t.Helper()
	der := Must[[]byte](t)(x509.MarshalPKIXPublicKey(k.private.Public()))
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Sign makes a bundle of statement, which change may rewrite afterwards.
func (k *Key) Sign(t testing.TB, statement string, change ...func(*protobundle.Bundle)) []byte {
	t.Helper()
	b := newBundle(statement, PayloadType, signASN1(t, k.private, dsse.PAE(PayloadType, []byte(statement))))
	b.VerificationMaterial = &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: "hint"}},
	}
	for _, f := range change {
		f(b)
	}
	return encode(t, b)
}

// Legacy signs payload as cosign 2 did and returns the annotations beside it.
func (k *Key) Legacy(t testing.TB, payload string) map[string]string {
	t.Helper()
	return map[string]string{
		schemas.AnnotationCosignSignature: base64.StdEncoding.EncodeToString(signASN1(t, k.private, []byte(payload))),
	}
}

func newBundle(statement, payloadType string, sig []byte) *protobundle.Bundle {
	return &protobundle.Bundle{
		MediaType: schemas.MediaTypeBundle,
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: []byte(statement), PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}
}

// encode makes JSON of b, the same each time: protojson varies its white space.
func encode(t testing.TB, b *protobundle.Bundle) []byte {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, Must[[]byte](t)(protojson.Marshal(b))); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

// Parse reads a bundle, to take parts of it for another one.
func Parse(t testing.TB, bundle []byte) *protobundle.Bundle {
	t.Helper()
	var b protobundle.Bundle
	if err := protojson.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	return &b
}
