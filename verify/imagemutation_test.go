// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	bpfbuild "github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// forger is a registry whose answers can be replaced, and which swears that the
// signatures of one image are those of any.
type forger struct {
	http.Handler
	base    string            // the path of the repository
	answers map[string][]byte // by the rest of the path
	// referrers is the list of them, legacy cosign 2's signatures.
	referrers, legacy []byte
}

// ServeHTTP implements [http.Handler].
func (f *forger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ours := strings.CutPrefix(r.URL.Path, f.base)
	body, ok := f.answers[name]
	mediaType := "application/octet-stream"
	switch {
	case !ours || r.Method != http.MethodGet || f.referrers == nil || f.legacy == nil: // all that is still being made
		ok = false
	case ok && strings.HasPrefix(name, "manifests/"):
		mediaType = ocispec.MediaTypeImageManifest
	case strings.HasPrefix(name, "referrers/"):
		body, ok, mediaType = f.referrers, true, ocispec.MediaTypeImageIndex
	case strings.HasSuffix(name, ".sig"):
		body, ok, mediaType = f.legacy, true, ocispec.MediaTypeImageManifest
	}
	if !ok {
		f.Handler.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // in process: nobody goes away
}

// signedImage is an image with a signature of each kind, in a forger's hands.
type signedImage struct {
	*forger
	t                       *testing.T
	src                     *image.Registry
	ref                     image.Reference
	trust                   verify.Trust
	manifest, config, layer []byte
	bundles                 [][]byte // by a key, by an identity
}

func newSignedImage(t *testing.T) *signedImage {
	t.Helper()
	registry := verifytest.Must[*testregistry.Registry](t)(testregistry.New(testregistry.Options{}))
	s := &signedImage{t: t, forger: &forger{Handler: registry, base: "/v2/net/counter/", answers: map[string][]byte{}}}
	s.ref = verifytest.Must[image.Reference](t)(image.ParseReference("registry.test/net/counter:v1"))
	s.src = verifytest.Must[*image.Registry](t)(image.NewRegistry(image.RegistryOptions{
		Keychain: authn.NewMultiKeychain(), Transport: testregistry.InProcess(s), Retry: image.Retry{Attempts: 1},
	}))
	object := verifytest.Must[[]byte](t)(os.ReadFile("../examples/xdp-counter/counter.bpf.o"))
	built := verifytest.Must[bpfbuild.Result](t)(bpfbuild.Build(t.Context(), s.src, s.ref,
		[]bpfbuild.Input{{Name: "counter.bpf.o", Bytes: object}}, bpfbuild.Options{Platform: "linux/amd64"}))
	s.manifest = built.Manifest.Bytes
	var m ocispec.Manifest
	s.decode(s.manifest, &m)
	s.config = s.blobOf(m.Config)
	s.layer = s.blobOf(m.Layers[0])
	s.sign(built.Manifest.Descriptor)
	return s
}

func (s *signedImage) decode(data []byte, v any) {
	s.t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		s.t.Fatal(err)
	}
}

func (s *signedImage) blobOf(desc ocispec.Descriptor) []byte {
	s.t.Helper()
	return verifytest.Must[[]byte](s.t)(s.src.Blob(s.t.Context(), s.ref, desc, image.MaxLayer))
}

// sign makes a bundle by a key, one by an identity and a legacy signature of
// subject, all of them trusted, any of them enough.
func (s *signedImage) sign(subject ocispec.Descriptor) {
	s.t.Helper()
	key, sigstore := verifytest.NewKey(s.t), verifytest.NewGoodSigstore(s.t)
	root := verifytest.Must[*verify.TrustedRoot](s.t)(verify.ParseTrustedRoot(sigstore.TrustedRoot(s.t, verifytest.Trust{}), "root.json"))
	public := verifytest.Must[verify.Key](s.t)(verify.ParseKey(key.PEM(s.t), "test.pub"))
	s.trust = verifytest.Must[*verify.Signers](s.t)(verify.NewSigners([]verify.Key{public},
		[]schemas.PolicyIdentity{{Issuer: verifytest.Issuer, Subject: verifytest.Subject}}, root))
	statement := verifytest.Statement(subject.Digest.String(), schemas.PredicateCosignSign)
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	s.bundles = [][]byte{key.Sign(s.t, statement), sigstore.Sign(s.t, statement)}
	for _, bundle := range s.bundles {
		list.Manifests = append(list.Manifests, s.attach(ocispec.Manifest{
			ArtifactType: schemas.MediaTypeBundle, Subject: &subject,
			Layers: []ocispec.Descriptor{s.put(schemas.MediaTypeBundle, bundle)},
		}, ""))
	}
	s.referrers = s.encode(list)
	payload := verifytest.Payload(subject.Digest.String())
	layer := s.put(schemas.MediaTypeSimpleSigning, []byte(payload))
	layer.Annotations = key.Legacy(s.t, payload)
	tag := "sha256-" + subject.Digest.Encoded() + ".sig"
	s.attach(ocispec.Manifest{Layers: []ocispec.Descriptor{layer}}, tag)
	s.legacy = verifytest.Must[image.Manifest](s.t)(s.src.Manifest(s.t.Context(), s.ref.WithTag(tag))).Bytes
}

func (s *signedImage) encode(v any) []byte {
	s.t.Helper()
	return verifytest.Must[[]byte](s.t)(json.Marshal(v))
}

func (s *signedImage) put(mediaType string, data []byte) ocispec.Descriptor {
	s.t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if err := s.src.PutBlob(s.t.Context(), s.ref, desc, data, ""); err != nil {
		s.t.Fatal(err)
	}
	return desc
}

// attach pushes a manifest that holds a signature.
func (s *signedImage) attach(m ocispec.Manifest, tag string) ocispec.Descriptor {
	s.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	m.Config = s.put(ocispec.MediaTypeImageConfig, []byte("{}"))
	data := s.encode(m)
	desc := ocispec.Descriptor{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	at := s.ref.WithDigest(desc.Digest.String())
	if tag != "" {
		at = s.ref.WithTag(tag)
	}
	if err := s.src.PutManifest(s.t.Context(), at, image.Manifest{Descriptor: desc, Bytes: data}); err != nil {
		s.t.Fatal(err)
	}
	return desc
}

// check pulls and verifies what is served now, with answers in place of what
// the registry has.
func (s *signedImage) check(answers map[string][]byte) (*verify.Verified, error) {
	s.answers = answers
	img, err := pull.Fetch(s.t.Context(), s.src, s.ref, pull.Options{Platform: "linux/amd64"})
	if err != nil {
		return nil, err
	}
	return verify.Check(s.t.Context(), img, s.trust)
}

// eachByte calls f with data changed in one bit of every step-th byte.
func eachByte(data []byte, step int, f func(at int, mutant []byte)) {
	for i := 0; i < len(data); i += step {
		mutant := bytes.Clone(data)
		mutant[i] ^= 1 << (i % 8)
		f(i, mutant)
	}
}

// refused are the errors a changed image may end with: nobody signed it, its
// digest does not fit, it cannot be read. Others are mistakes of ours.
func refused(err error) bool {
	var answer *image.RegistryError
	for _, want := range []error{verify.ErrNotTrusted, image.ErrDigestMismatch, pull.ErrBadImage, pull.ErrUnknownFormat, image.ErrNotFound, image.ErrTooLarge} {
		if errors.Is(err, want) {
			return true
		}
	}
	return errors.As(err, &answer) // not JSON, or not of the format
}

// TestMutationsOnTheWay: any byte changed on the way is noticed where it arrives,
// be it of the manifest, of the config, of the layer or of a signature.
func TestMutationsOnTheWay(t *testing.T) {
	t.Parallel()
	s := newSignedImage(t)
	at := s.ref.WithDigest(digest.FromBytes(s.manifest).String())
	eachByte(s.manifest, 1, func(i int, mutant []byte) {
		s.answers = map[string][]byte{"manifests/" + at.Digest(): mutant}
		if _, err := s.src.Manifest(t.Context(), at); !errors.Is(err, image.ErrDigestMismatch) {
			t.Errorf("manifest: byte %d changed: %v", i, err)
		}
	})
	for part, data := range map[string][]byte{"config": s.config, "layer": s.layer, "bundle by key": s.bundles[0], "keyless bundle": s.bundles[1]} {
		desc := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
		eachByte(data, 1, func(i int, mutant []byte) {
			s.answers = map[string][]byte{"blobs/" + desc.Digest.String(): mutant}
			if _, err := s.src.Blob(t.Context(), s.ref, desc, image.MaxLayer); !errors.Is(err, image.ErrDigestMismatch) {
				t.Errorf("%s: byte %d changed: %v", part, i, err)
			}
		})
	}
}

// TestMutationsMadeToFit: an image in which one bit is changed after it was
// signed, and every digest above made to fit, is refused, whatever signatures
// are said to be its own. Bytes are sampled: each takes a whole pull.
func TestMutationsMadeToFit(t *testing.T) {
	t.Parallel()
	s := newSignedImage(t)
	if whole, err := s.check(nil); err != nil || len(whole.Signers()) != 3 {
		t.Fatalf("unchanged: %v, %v", whole, err)
	}
	serve := func(part string, at int, answers map[string][]byte) {
		if v, err := s.check(answers); v != nil || !refused(err) {
			t.Errorf("%s: byte %d changed: accepted %t, error %v", part, at, v != nil, err)
		}
	}
	eachByte(s.manifest, 5, func(at int, mutant []byte) {
		serve("manifest", at, map[string][]byte{"manifests/v1": mutant})
	})
	for part, data := range map[string][]byte{"config": s.config, "layer": s.layer} {
		eachByte(data, 29, func(at int, mutant []byte) {
			fits := bytes.ReplaceAll(s.manifest, []byte(digest.FromBytes(data)), []byte(digest.FromBytes(mutant)))
			serve(part, at, map[string][]byte{"manifests/v1": fits, "blobs/" + digest.FromBytes(mutant).String(): mutant})
		})
	}
}

// TestMutationsAfterFetch: every byte that is used is hashed once more where it
// is used.
func TestMutationsAfterFetch(t *testing.T) {
	t.Parallel()
	s := newSignedImage(t)
	s.answers = nil
	img := verifytest.Must[*pull.Image](t)(pull.Fetch(t.Context(), s.src, s.ref, pull.Options{Platform: "linux/amd64"}))
	for part, data := range map[string]*[]byte{"manifest": &img.Manifest.Bytes, "config": &img.Config, "object": &img.Objects[0].Bytes} {
		original := *data
		eachByte(original, 1, func(at int, mutant []byte) {
			*data = mutant
			if v, err := verify.Check(t.Context(), img, s.trust); v != nil || !errors.Is(err, verify.ErrNotTrusted) || !errors.Is(err, image.ErrDigestMismatch) {
				t.Errorf("%s: byte %d changed: accepted %t, error %v", part, at, v != nil, err)
			}
		})
		*data = original
	}
	if _, err := verify.Check(t.Context(), img, s.trust); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}
