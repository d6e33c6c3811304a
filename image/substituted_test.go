// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// substituting is a source that breaks its promise: for one digest it returns another
// manifest, of the same size and type.
type substituting struct {
	fakeSource
	asked digest.Digest
	sent  Manifest
	list  []ocispec.Descriptor
	blobs map[digest.Digest][]byte
}

func (s substituting) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	if ref.Digest() == s.asked.String() {
		return s.sent, nil
	}
	return s.fakeSource.Manifest(ctx, ref)
}

func (s substituting) Blob(_ context.Context, _ Reference, desc ocispec.Descriptor, _ int64) ([]byte, error) {
	return s.blobs[desc.Digest], nil
}

func (s substituting) Referrers(context.Context, Reference) ([]ocispec.Descriptor, error) {
	return s.list, nil
}

// TestSubstitutedManifest: who asks by digest compares what comes with it, whatever
// the source promises.
func TestSubstitutedManifest(t *testing.T) {
	t.Parallel()
	blobs := map[digest.Digest][]byte{}
	manifest := func(im testImage) Manifest {
		blobs[im.descs[0].Digest], blobs[im.descs[1].Digest] = im.config, im.layer
		return im.manifest
	}
	one, two := manifest(newImage(t, "one", nil)), manifest(newImage(t, "two", nil))
	index := newIndex(t, one)
	ours, theirs := manifest(referrerOf(t, one, "sig")), manifest(referrerOf(t, one, "bad"))
	src := fakeSource{one.Descriptor.Digest: one, index.Descriptor.Digest: index, ours.Descriptor.Digest: ours}
	copied := func(t *testing.T, s substituting, root Manifest) error {
		var skipped []error
		at := mustParse(t, "localhost/a:v1")
		_, err := Copy(t.Context(), checkingSink{t}, at, s, at.WithDigest(root.Descriptor.Digest.String()), CopyOptions{
			Referrers: true,
			Progress:  func(e Event) { skipped = append(skipped, e.Err) },
		})
		return errors.Join(append(skipped, err)...)
	}
	shown := func(t *testing.T, s substituting, root Manifest) error {
		node, err := Tree(t.Context(), s, mustParse(t, "localhost/a@"+root.Descriptor.Digest.String()))
		if err != nil {
			return err
		}
		for _, below := range append(node.Children, node.Referrers...) {
			if below.Problem != "" {
				return ErrDigestMismatch // a problem is a text only
			}
		}
		return nil
	}
	rows := []struct {
		name        string
		use         func(*testing.T, substituting, Manifest) error
		root        Manifest
		asked, sent Manifest
		list        []ocispec.Descriptor
	}{
		{"copy the root", copied, one, one, two, nil},
		{"copy a child", copied, index, one, two, nil},
		{"copy a referrer", copied, one, ours, theirs, []ocispec.Descriptor{ours.Descriptor}},
		{"show the root", shown, one, one, two, nil},
		{"show a child", shown, index, one, two, nil},
		{"show a referrer", shown, one, ours, theirs, []ocispec.Descriptor{ours.Descriptor}},
		{"fetch to repair", func(t *testing.T, s substituting, root Manifest) error {
			_, err := fetchAgain(t.Context(), s, mustParse(t, "localhost/a:v1"), StoreProblem{Digest: root.Descriptor.Digest, desc: root.Descriptor})
			return err
		}, one, one, two, nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.asked.Descriptor.Size != row.sent.Descriptor.Size {
				t.Fatalf("the sizes %d and %d tell them apart", row.asked.Descriptor.Size, row.sent.Descriptor.Size)
			}
			honest := substituting{src, row.asked.Descriptor.Digest, row.sent, row.list, blobs}
			forged := honest
			forged.sent.Descriptor = row.asked.Descriptor
			for how, s := range map[string]substituting{"under its own name": honest, "under a false name": forged} {
				if err := row.use(t, s, row.root); !errors.Is(err, ErrDigestMismatch) {
					t.Errorf("%s: got %v, want ErrDigestMismatch", how, err)
				}
			}
		})
	}
}
