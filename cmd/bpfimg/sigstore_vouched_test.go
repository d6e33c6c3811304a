// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// cmdVouched holds every bundle of an image to sigstore-go and a trusted root:
// vouched TRUSTED-ROOT REFERENCE NUMBER ISSUER IDENTITY
// wants NUMBER of them, each logged and timestamped.
func cmdVouched(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: vouched TRUSTED-ROOT REFERENCE NUMBER ISSUER IDENTITY")
	}
	trusted, err := root.NewTrustedRootFromJSON([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	v, err := verify.NewVerifier(trusted, verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1))
	ts.Check(err)
	identity, err := verify.NewShortCertificateIdentity(args[3], "", args[4], "")
	ts.Check(err)
	subject, bundles := fetchBundles(ts, args[1])
	raw, err := hex.DecodeString(subject.Encoded())
	ts.Check(err)
	for i, b := range bundles {
		_, err := v.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", raw), verify.WithCertificateIdentity(identity)))
		if err != nil {
			ts.Fatalf("bundle %d: %v", i, err)
		}
	}
	if got := string(rune('0' + len(bundles))); got != args[2] {
		ts.Fatalf("%s bundles, want %s", got, args[2])
	}
}

// fetchBundles returns the digest of an image and its bundles.
func fetchBundles(ts *testscript.TestScript, reference string) (digest.Digest, []*bundle.Bundle) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	registry, err := image.NewRegistry(image.RegistryOptions{Keychain: authn.NewMultiKeychain()})
	ts.Check(err)
	ref, err := image.ParseReference(reference)
	ts.Check(err)
	m, err := registry.Manifest(ctx, ref)
	ts.Check(err)
	list, err := registry.Referrers(ctx, ref.WithDigest(m.Descriptor.Digest.String()))
	ts.Check(err)
	var bundles []*bundle.Bundle
	for _, desc := range list {
		r, err := registry.Manifest(ctx, ref.WithDigest(desc.Digest.String()))
		ts.Check(err)
		var manifest ocispec.Manifest
		ts.Check(json.Unmarshal(r.Bytes, &manifest))
		for _, layer := range manifest.Layers {
			if layer.MediaType != schemas.MediaTypeBundle {
				continue
			}
			data, err := registry.Blob(ctx, ref, layer, 1<<20)
			ts.Check(err)
			var b bundle.Bundle
			ts.Check(b.UnmarshalJSON(data))
			bundles = append(bundles, &b)
		}
	}
	return m.Descriptor.Digest, bundles
}
