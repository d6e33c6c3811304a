// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// newTestChecker trusts key for the image d.
func newTestChecker(t testing.TB, d string, key *testKey) *checker {
	t.Helper()
	rule, err := Keys{key.Key}.Rule("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newChecker(rule, []digest.Digest{digest.Digest(d)}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// flips calls f with data changed in each single bit in turn.
func flips(data []byte, f func(at int, mutant []byte)) {
	mutant := bytes.Clone(data)
	for i := range mutant {
		for bit := range 8 {
			mutant[i] ^= 1 << bit
			f(i, mutant)
			mutant[i] ^= 1 << bit
		}
	}
}

// meaning is what decides of a bundle: all of it but the key hint, which is
// only advice where to look for the key.
func meaning(data []byte) (*protobundle.Bundle, error) {
	var b protobundle.Bundle
	if err := protojson.Unmarshal(data, &b); err != nil {
		return nil, err
	}
	if key, ok := b.GetVerificationMaterial().GetContent().(*protobundle.VerificationMaterial_PublicKey); ok {
		key.PublicKey.Hint = ""
	}
	return &b, nil
}

// TestBundleMutations: a bundle with any bit changed is refused, or means the
// same.
func TestBundleMutations(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	c := newTestChecker(t, someOther, key)
	original := key.bundle(t, someOther).Bundle
	want, err := meaning(original)
	if err != nil {
		t.Fatal(err)
	}
	accepted := 0
	flips(original, func(at int, mutant []byte) {
		if _, err := c.checkBundle(t.Context(), mutant, new(Attempt)); err != nil {
			return
		}
		accepted++
		if got, err := meaning(mutant); err != nil || !proto.Equal(want, got) {
			t.Errorf("byte %d changed to %q is accepted", at, mutant[at])
		}
	})
	// All bits that keep the four letters of the hint letters, and few others.
	if hint := len("hint"); accepted > 8*hint+8 {
		t.Errorf("%d mutants accepted", accepted)
	}
}

// TestLegacyMutations: the same of a payload, where every byte is signed, and
// of its signature.
func TestLegacyMutations(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	c := newTestChecker(t, someOther, key)
	original := key.legacy(t, payloadOf(someOther))
	flips(original.Payload, func(at int, mutant []byte) {
		if _, err := c.checkLegacy(pull.Candidate{Payload: mutant, Annotations: original.Annotations}, new(Attempt)); err == nil {
			t.Errorf("payload byte %d changed to %q is accepted", at, mutant[at])
		}
	})
	encoded := original.Annotations[schemas.AnnotationCosignSignature]
	want, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	flips([]byte(encoded), func(at int, mutant []byte) {
		annotations := map[string]string{schemas.AnnotationCosignSignature: string(mutant)}
		if _, err := c.checkLegacy(pull.Candidate{Payload: original.Payload, Annotations: annotations}, new(Attempt)); err != nil {
			return
		}
		if got, err := base64.StdEncoding.DecodeString(string(mutant)); err != nil || !bytes.Equal(want, got) {
			t.Errorf("signature byte %d changed to %q is accepted", at, mutant[at])
		}
	})
}
