// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/sign"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
)

// statementOf returns the statement in the bundle a result names.
func statementOf(t *testing.T, repo *memory, r sign.Result) (ocispec.Manifest, string) {
	t.Helper()
	var manifest ocispec.Manifest
	if err := json.Unmarshal(repo.manifests[r.Signature.Digest.String()].Bytes, &manifest); err != nil {
		t.Fatal(err)
	}
	envelope, _ := decode(t, repo.blobs[manifest.Layers[0].Digest])["dsseEnvelope"].(map[string]any)
	payload, _ := envelope["payload"].(string)
	statement, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	return manifest, string(statement)
}

func TestAttest(t *testing.T) {
	t.Parallel()
	repo := newMemory()
	subject := repo.add("v1", `{}`)
	p, err := sign.NewPredicate("slsaprovenance1", []byte(" {\"n\": 12345678901234567890123, \"s\": \"<&>\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := sign.Attest(t.Context(), repo, reference(t, "reg.example/a:v1"), newSigner(t), p, sign.Options{Annotations: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	manifest, statement := statementOf(t, repo, r)
	if got := manifest.Annotations["dev.sigstore.bundle.predicateType"]; got != "https://slsa.dev/provenance/v1" {
		t.Errorf("annotated as %q", got)
	}
	if manifest.Subject.Digest != subject {
		t.Errorf("attached to %s", manifest.Subject.Digest)
	}
	want := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + subject.Encoded() +
		`"},"annotations":{"a":"b"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"n":12345678901234567890123,"s":"<&>"}}`
	if statement != want {
		t.Errorf("statement %s\nwant      %s", statement, want)
	}
}

func TestNewPredicate(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, 61) + `1` + strings.Repeat(`}`, 61)
	tests := []struct{ name, kind, body, want string }{
		{"cosign's name", "cyclonedx", `{}`, ""},
		{"a URI", "https://example.com/x/v1", `{"a":[{"b":1},{"b":1}]}`, ""},
		{"a URN", "urn:example:x", `{}`, ""},
		{"same key in two objects", "custom", `{"a":{"k":1},"b":{"k":1}}`, ""},
		{"as large as allowed", "custom", `{"a":"` + strings.Repeat("x", sign.MaxPredicate-8) + `"}`, ""},
		{"over the size", "custom", `{"a":"` + strings.Repeat("x", sign.MaxPredicate-7) + `"}`, "over the limit"},
		{"no type", "", `{}`, "want a URI"},
		{"a word", "slsa", `{}`, "want a URI"},
		{"a path", "/x", `{}`, "want a URI"},
		{"no host", "https://", `{}`, "want a URI"},
		{"line end in the type", "https://example.com/\nx", `{}`, "want a URI"},
		{"signature's type", "https://sigstore.dev/cosign/sign/v1", `{}`, "marks signatures"},
		{"twice", "custom", `{"a":1,"a":1}`, `key "a" twice`},
		{"twice, escaped", "custom", `{"a":1,"\u0061":1}`, `key "a" twice`},
		{"twice below", "custom", `{"x":[{"a":1,"a":2}]}`, "twice"},
		{"a list", "custom", `[]`, "not a JSON object"},
		{"nothing", "custom", ``, "not a JSON object"},
		{"cut off", "custom", `{"a":`, "not JSON"},
		{"two documents", "custom", `{} {}`, "more follows"},
		{"too deep", "custom", deep, "nests deeper"},
		{"not UTF-8", "custom", "{\"a\":\"\xff\"}", "not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sign.NewPredicate(tt.kind, []byte(tt.body))
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, sign.ErrPredicate) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzNewPredicate: what is accepted is one JSON object, whatever reads it.
func FuzzNewPredicate(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,{"b":null}],"c":"é"}`, `{"a":1,"a":2}`, `{"a":1e999}`, `[1]`, `{"a":"\ud800"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := sign.NewPredicate("custom", body)
		if err != nil {
			return
		}
		var any map[string]json.RawMessage
		if err := json.Unmarshal(p.Body, &any); err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
	})
}

// hooked is a signer that something happens to before it signs.
type hooked struct {
	signature.SignerVerifier
	before func()
}

func (h *hooked) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	h.before()
	return h.SignerVerifier.SignMessage(message, opts...)
}

func TestMovedTag(t *testing.T) {
	t.Parallel()
	p, err := sign.NewPredicate("custom", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, legacy := range []bool{false, true} {
		repo := newMemory()
		subject := repo.add("v1", `{}`)
		// The signer runs between resolving and writing.
		signer := &hooked{SignerVerifier: newSigner(t), before: func() { repo.add("v1", `{"other":true}`) }}
		ref := reference(t, "reg.example/a:v1")
		_, err := sign.Sign(t.Context(), repo, ref, signer, sign.Options{Legacy: legacy})
		if !errors.Is(err, sign.ErrMoved) || !strings.Contains(err.Error(), subject.String()) {
			t.Errorf("legacy %t: error %v, want ErrMoved with the digest", legacy, err)
		}
		if len(repo.blobs) != 0 || len(repo.manifests) != 2 {
			t.Errorf("legacy %t: something was written", legacy)
		}
		// A digest cannot move.
		if _, err := sign.Sign(t.Context(), repo, ref.WithDigest(subject.String()), signer, sign.Options{Legacy: legacy}); err != nil {
			t.Errorf("legacy %t, by digest: %v", legacy, err)
		}
	}
	repo := newMemory()
	repo.add("v1", `{}`)
	signer := &hooked{SignerVerifier: newSigner(t), before: func() { repo.add("v1", `{"other":true}`) }}
	if _, err := sign.Attest(t.Context(), repo, reference(t, "reg.example/a:v1"), signer, p, sign.Options{}); !errors.Is(err, sign.ErrMoved) {
		t.Errorf("attesting: error %v, want ErrMoved", err)
	}
}
