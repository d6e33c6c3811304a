// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// newImage512 is an image of which everything is named by SHA-512, and newReferrer512
// something attached to it.
func newImage512(t testing.TB, seed string, edit func(*ocispec.Manifest)) testImage {
	t.Helper()
	im := newImage(t, seed, nil)
	im.descs[0].Digest, im.descs[1].Digest = digest.SHA512.FromBytes(im.config), digest.SHA512.FromBytes(im.layer)
	content := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.test", Config: im.descs[0], Layers: im.descs[1:]}
	content.SchemaVersion = 2
	if edit != nil {
		edit(&content)
	}
	im.manifest = encode(t, content.MediaType, content)
	im.manifest.Descriptor.Digest = digest.SHA512.FromBytes(im.manifest.Bytes)
	return im
}

func newReferrer512(t testing.TB, subject Manifest) testImage {
	t.Helper()
	return newImage512(t, "referrer", func(m *ocispec.Manifest) {
		desc := subject.Descriptor
		desc.ArtifactType = ""
		m.Subject = &desc
	})
}

// TestSHA512 carries an image through every place and back. Its digest never changes,
// by whatever name it is asked for, and what is attached stays attached.
func TestSHA512(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		opts testregistry.Options
		// tagged: the registry knows of the digest when it is asked by the tag.
		tagged bool
	}{
		{"a registry of 2026", testregistry.Options{}, true},
		{"without tags beside a digest", testregistry.Options{Faults: []testregistry.Fault{{Method: "PUT", Path: "/manifests/sha512:", Do: testregistry.WithoutQuery()}}}, false},
		{"without the referrers API", testregistry.Options{NoReferrers: true}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			handler, err := testregistry.New(row.opts)
			if err != nil {
				t.Fatal(err)
			}
			host, _ := serve(t, handler)
			p := Places{Registry: testClient(t, RegistryOptions{}), Store: newStore(t)}
			im := newImage512(t, "image", nil)
			sig := newReferrer512(t, im.manifest)
			ref := mustParse(t, host+"/x:v1")
			im.put(t, p.Store, ref)
			sig.put(t, p.Store, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
			dir := t.TempDir()
			at := Location{Transport: TransportStore, Reference: ref}
			for _, to := range []string{
				ref.String(), "oci:" + dir + "/layout:v1", "oci-archive:" + dir + "/a.tar:" + ref.String(), "store:" + host + "/y:v1", host + "/z:v1",
			} {
				next := mustLocate(t, to)
				copyLocation(t, p, at, next, im)
				if at = next; at.Transport == TransportRegistry {
					m, err := p.Registry.Manifest(t.Context(), at.Reference)
					if err != nil || (m.Descriptor.Digest == im.manifest.Descriptor.Digest) != row.tagged {
						t.Errorf("%s: by its tag it is %s (%v)", to, m.Descriptor.Digest, err)
					}
					at.Reference = at.Reference.WithDigest(im.manifest.Descriptor.Digest.String())
				}
				checkThere(t, p, at, im, sig)
			}
		})
	}
}

func copyLocation(t *testing.T, p Places, from, to Location, im testImage) {
	t.Helper()
	origin, err := p.Origin(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	target, err := p.Target(to)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	desc, err := Copy(t.Context(), target.Sink, target.Ref, origin.Source, origin.Ref, CopyOptions{Referrers: true})
	if err == nil {
		err = target.Commit(t.Context())
	}
	if err != nil || desc.Digest != im.manifest.Descriptor.Digest {
		t.Fatalf("%s to %s: %s, %v", from, to, desc.Digest, err)
	}
}

// checkThere reads the image and what is attached to it.
func checkThere(t *testing.T, p Places, at Location, im, sig testImage) {
	t.Helper()
	origin, err := p.Origin(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	im.check(t, origin.Source, origin.Ref)
	d := im.manifest.Descriptor.Digest.String()
	list, err := origin.Source.Referrers(t.Context(), origin.Ref.WithDigest(d))
	if err != nil || len(list) != 1 || list[0].Digest != sig.manifest.Descriptor.Digest {
		t.Fatalf("%s: %v is attached (%v)", at, list, err)
	}
	sig.check(t, origin.Source, origin.Ref.WithDigest(list[0].Digest.String()))
}

// TestSHA512Damaged: bytes are held against this digest, too, wherever they come from.
func TestSHA512Damaged(t *testing.T) {
	t.Parallel()
	handler, err := testregistry.New(testregistry.Options{Faults: []testregistry.Fault{{Method: "GET", Path: "/sha512:", Do: testregistry.Corrupt()}}})
	if err != nil {
		t.Fatal(err)
	}
	host, _ := serve(t, handler)
	im := newImage512(t, "damaged", nil)
	store, remote := newStore(t), testClient(t, RegistryOptions{})
	ref := mustParse(t, host+"/x:v1")
	im.put(t, remote, ref)
	im.put(t, store, ref)
	if err := os.WriteFile(store.blobPath(im.descs[1].Digest), []byte(strings.ToUpper(string(im.layer))), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, src := range []Source{remote, store} {
		if _, err := src.Blob(t.Context(), ref, im.descs[1], MaxLayer); !errors.Is(err, ErrDigestMismatch) {
			t.Errorf("%T: a blob: %v", src, err)
		}
	}
	if _, err := remote.Manifest(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String())); !errors.Is(err, ErrDigestMismatch) {
		t.Errorf("a manifest: %v", err)
	}
	report, err := store.Check(t.Context())
	if err != nil || len(report.Problems) != 1 || report.Problems[0].Digest != im.descs[1].Digest || report.Checked != 3 {
		t.Errorf("checked: %+v (%v)", report, err)
	}
}

// TestSHA512Swept: what nothing names any more goes from this folder, too, and a young
// stray stays.
func TestSHA512Swept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	im, kept := newImage512(t, "swept", nil), newImage512(t, "kept", nil)
	im.put(t, s, mustParse(t, "localhost/swept:v1"))
	kept.put(t, s, mustParse(t, "localhost/kept:v1"))
	if err := s.Remove(t.Context(), mustParse(t, "localhost/swept:v1")); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		files, err := os.ReadDir(s.blobFolder(digest.SHA512))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	if got := count(); got != 3 {
		t.Errorf("%d files are left, want the other image's 3", got)
	}
	if err := os.WriteFile(s.blobPath(digest.SHA512.FromString("stray")), []byte("stray"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		after time.Duration
		files int
	}{{0, 4}, {2 * leftoverAge, 3}} {
		s.now = func() time.Time { return time.Now().Add(want.after) }
		if _, err := s.Prune(t.Context(), PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := count(); got != want.files {
			t.Errorf("%s later: %d files, want %d", want.after, got, want.files)
		}
	}
	kept.check(t, s, mustParse(t, "localhost/kept:v1"))
}

// TestDigests: the two registered algorithms, each with its length.
func TestDigests(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text string
		ok   bool
	}{
		{"sha256:" + strings.Repeat("0", 64), true},
		{"sha512:" + strings.Repeat("f", 128), true},
		{"sha256:" + strings.Repeat("0", 128), false},
		{"sha512:" + strings.Repeat("0", 64), false},
		{"sha512:" + strings.Repeat("F", 128), false},
		{"sha384:" + strings.Repeat("0", 96), false},
		{"blake3:" + strings.Repeat("0", 64), false},
		{"SHA256:" + strings.Repeat("0", 64), false},
		{"sha256:" + strings.Repeat("0", 63) + "/", false},
		{"sha256", false},
		{":" + strings.Repeat("0", 64), false},
		{"", false},
	} {
		if err := CheckDigest(digest.Digest(row.text)); (err == nil) != row.ok {
			t.Errorf("%q: %v", row.text, err)
		}
	}
}

// TestTagsOfDigests are the examples of the specification, and cosign 2's own.
func TestTagsOfDigests(t *testing.T) {
	t.Parallel()
	a := func(n int) string { return strings.Repeat("a", n) }
	for _, row := range []struct{ digest, fallback, legacy string }{
		{"sha256:" + a(64), "sha256-" + a(64), "sha256-" + a(64) + ".sig"},
		{"sha512:" + a(128), "sha512-" + a(64), ""},
	} {
		ref := Reference{registry: "localhost", repository: "x", digest: row.digest}
		if got := fallbackTag(ref).tag; got != row.fallback {
			t.Errorf("the fallback tag of %s is %s", row.digest, got)
		}
		if got := LegacyTag(digest.Digest(row.digest), ".sig"); got != row.legacy {
			t.Errorf("the tag of signatures of %s is %q", row.digest, got)
		}
		if !IsAttachmentTag(row.fallback) {
			t.Errorf("%s is taken for an image", row.fallback)
		}
	}
}

// TestSHA512Layout reads a layout as others write it: index.json and files.
func TestSHA512Layout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	im := newImage512(t, "layout", nil)
	folder := filepath.Join(dir, "blobs", "sha512")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	entry := im.manifest.Descriptor
	entry.Annotations = map[string]string{ocispec.AnnotationRefName: "v1"}
	index, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{entry}})
	if err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{
		filepath.Join(dir, "oci-layout"): []byte(`{"imageLayoutVersion":"1.0.0"}`), filepath.Join(dir, "index.json"): index,
		filepath.Join(folder, im.manifest.Descriptor.Digest.Encoded()): im.manifest.Bytes,
		filepath.Join(folder, im.descs[0].Digest.Encoded()):            im.config,
		filepath.Join(folder, im.descs[1].Digest.Encoded()):            im.layer,
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	origin, err := Places{}.Origin(t.Context(), mustLocate(t, "oci:"+dir+":v1"))
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	im.check(t, origin.Source, origin.Ref)
}
