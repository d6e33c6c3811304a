// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
)

// newSigner is a signer as [sign.LoadKey] returns it, without the key
// derivation that makes that slow.
func newSigner(t *testing.T) signature.SignerVerifier {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signature.LoadSignerVerifier(private, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// decode unmarshals data into a tree of maps, as any JSON reader sees it.
func decode(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBundleShape compares with the manifest, bundle and statement cosign 3.1.3
// wrote for the same subject and annotation.
func TestBundleShape(t *testing.T) {
	t.Parallel()
	repo := newMemory()
	subject := repo.add("v1", `{"schemaVersion":2}`)
	result, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a/b:v1"), newSigner(t), sign.Options{
		Annotations: map[string]string{"foo": "bar"},
		Created:     time.Date(2026, 11, 21, 11, 21, 54, 0, time.FixedZone("x", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Subject.Digest != subject || repo.resolved["v1"] != 2 {
		t.Errorf("signed %s after resolving %d times, want %s, resolved once and looked at again", result.Subject.Digest, repo.resolved["v1"], subject)
	}
	stored := repo.manifests[result.Signature.Digest.String()]
	var manifest ocispec.Manifest
	if err := json.Unmarshal(stored.Bytes, &manifest); err != nil {
		t.Fatal(err)
	}
	bundle := decode(t, repo.blobs[manifest.Layers[0].Digest])
	const kind = "application/vnd.dev.sigstore.bundle.v0.3+json"
	want := map[string]any{
		"schemaVersion": 2.0,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"artifactType":  kind,
		"config": map[string]any{
			"mediaType": "application/vnd.oci.empty.v1+json", "size": 2.0, "artifactType": kind,
			"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
		},
		"layers": []any{map[string]any{
			"mediaType": kind, "size": float64(manifest.Layers[0].Size), "digest": manifest.Layers[0].Digest.String(),
		}},
		"subject": map[string]any{
			"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 19.0, "digest": subject.String(),
		},
		"annotations": map[string]any{
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
			"org.opencontainers.image.created":  "2026-11-21T10:21:54Z",
		},
	}
	if diff := cmp.Diff(want, decode(t, stored.Bytes)); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	envelope, _ := bundle["dsseEnvelope"].(map[string]any)
	payload, _ := envelope["payload"].(string)
	statement, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(statement), `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"`+subject.Encoded()+
		`"},"annotations":{"foo":"bar"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}`; got != want {
		t.Errorf("statement %s\nwant      %s", got, want)
	}
	if bundle["mediaType"] != kind || envelope["payloadType"] != "application/vnd.in-toto+json" || len(bundle) != 3 {
		t.Errorf("bundle %v", bundle)
	}
}

func TestBundleTwice(t *testing.T) {
	t.Parallel()
	repo, signer := newMemory(), newSigner(t)
	repo.add("v1", `{}`)
	for range 2 {
		if _, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), signer, sign.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if len(repo.tags) != 1 {
		t.Errorf("tags %v: a bundle needs none", repo.tags)
	}
}

func TestLegacy(t *testing.T) {
	t.Parallel()
	repo, first, second := newMemory(), newSigner(t), newSigner(t)
	subject := repo.add("v1", `{}`)
	ref := reference(t, "reg.example:5000/a/b:v1")
	signWith := func(s signature.SignerVerifier, annotations map[string]string) ocispec.Manifest {
		t.Helper()
		result, err := sign.Sign(t.Context(), repo, ref, s, sign.Options{Legacy: true, Annotations: annotations})
		if err != nil {
			t.Fatal(err)
		}
		if at := repo.tags["sha256-"+subject.Encoded()+".sig"]; at != result.Signature.Digest.String() {
			t.Errorf("signature is %s, its tag names %s", result.Signature.Digest, at)
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(repo.manifests[result.Signature.Digest.String()].Bytes, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	one := signWith(first, nil)
	want := `{"critical":{"identity":{"docker-reference":"reg.example:5000/a/b"},"image":{"docker-manifest-digest":"` + subject.String() +
		`"},"type":"cosign container image signature"},"optional":null}`
	if got := string(repo.blobs[one.Layers[0].Digest]); got != want {
		t.Errorf("payload %s\nwant    %s", got, want)
	}
	if again := signWith(first, nil); !cmp.Equal(one, again) {
		t.Errorf("signing again with the same key changed the signatures: %s", cmp.Diff(one, again))
	}
	two := signWith(second, nil)
	three := signWith(first, map[string]string{"build": "7"})
	if len(two.Layers) != 2 || len(three.Layers) != 3 || !cmp.Equal(three.Layers[:2], two.Layers) || !cmp.Equal(two.Layers[:1], one.Layers) {
		t.Fatalf("signatures were not appended: %v then %v then %v", one.Layers, two.Layers, three.Layers)
	}
	if got := string(repo.blobs[three.Layers[2].Digest]); !strings.HasSuffix(got, `"optional":{"build":"7"}}`) {
		t.Errorf("annotation is not in the payload: %s", got)
	}
	var config ocispec.Image
	if err := json.Unmarshal(repo.blobs[three.Config.Digest], &config); err != nil {
		t.Fatal(err)
	}
	for i, layer := range three.Layers {
		if config.RootFS.DiffIDs[i] != layer.Digest {
			t.Errorf("diff id %d is %s, the layer %s", i, config.RootFS.DiffIDs[i], layer.Digest)
		}
	}
}

func TestSignFailures(t *testing.T) {
	t.Parallel()
	broken, signer := errors.New("disk full"), newSigner(t)
	sigTag := "sha256-" + digest.FromString(`{}`).Encoded() + ".sig"
	full := `{"layers":[` + strings.TrimSuffix(strings.Repeat(`{"digest":"sha256:x"},`, 64), ",") + `]}`
	tests := []struct {
		name    string
		legacy  bool
		ref     string
		prepare func(*memory)
		want    string
		wraps   error
	}{
		{"no such image", false, "reg.example/a:gone", nil, "resolving the digest", image.ErrNotFound},
		{"bundle not written", false, "reg.example/a:v1", func(m *memory) { m.fail = broken }, "writing", broken},
		{"legacy not written", true, "reg.example/a:v1", func(m *memory) { m.fail = broken }, "writing", broken},
		{"signature tag is taken", true, "reg.example/a:v1", func(m *memory) {
			d := m.add(sigTag, `{"manifests":[]}`)
			taken := m.manifests[d.String()]
			taken.Descriptor.MediaType = ocispec.MediaTypeImageIndex
			m.manifests[d.String()] = taken
		}, "not signatures", nil},
		{"signature tag is not JSON", true, "reg.example/a:v1", func(m *memory) { m.add(sigTag, `]`) }, "reading the signatures", nil},
		{"signature tag is full", true, "reg.example/a:v1", func(m *memory) { m.add(sigTag, full) }, "delete old ones", nil},
		{"sha384", false, "reg.example/a:v1", func(m *memory) {
			got := m.manifests[m.tags["v1"]]
			got.Descriptor.Digest = digest.SHA384.FromString(`{}`)
			m.manifests[m.tags["v1"]] = got
		}, "only sha256 and sha512 are", nil},
		{"sha512, by a tag", true, "reg.example/a:v1", func(m *memory) {
			got := m.manifests[m.tags["v1"]]
			got.Descriptor.Digest = digest.SHA512.FromString(`{}`)
			m.manifests[m.tags["v1"]] = got
		}, "too long a tag", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo := newMemory()
			repo.add("v1", `{}`)
			if tt.prepare != nil {
				tt.prepare(repo)
			}
			_, err := sign.Sign(t.Context(), repo, reference(t, tt.ref), signer, sign.Options{Legacy: tt.legacy})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			if tt.wraps != nil && !errors.Is(err, tt.wraps) {
				t.Errorf("error %v does not wrap %v", err, tt.wraps)
			}
		})
	}
}
