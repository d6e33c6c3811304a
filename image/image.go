// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Limits on what is read from a registry, a store or an archive, in bytes and
// counts. Every one of them is far above what an honest image needs.
const (
	// MaxManifest is the limit the OCI distribution spec recommends
	// registries to accept (spec.md, "Pushing Manifests"): 4 MiB.
	MaxManifest = 4 << 20
	// MaxConfig bounds a config blob: labels carry a Description, no more.
	MaxConfig = 4 << 20
	// MaxLayer bounds one compressed layer. The largest BPF objects known are
	// a few MiB.
	MaxLayer = 64 << 20
	// MaxReferrers bounds how many referrers of one image are looked at.
	MaxReferrers = 1024
)

// Errors a caller decides on. They are wrapped with what was being done; test
// with [errors.Is].
var (
	// ErrNotFound: the registry or store answered, and has no such manifest,
	// blob or repository.
	ErrNotFound = errors.New("not found")
	// ErrTooLarge: content is over one of the limits above, or longer than its
	// descriptor says.
	ErrTooLarge = errors.New("over the size limit")
	// ErrDigestMismatch: bytes do not hash to the digest that names them.
	ErrDigestMismatch = errors.New("content does not match its digest")
	// ErrUnauthorized: the registry wants other credentials (401, 403).
	ErrUnauthorized = errors.New("access denied")
)

// Manifest is the raw bytes of an image manifest, index or referrer manifest,
// and the descriptor (media type, digest, size) that names them. The digest has
// been recomputed from Bytes by whoever returned it.
type Manifest struct {
	Descriptor ocispec.Descriptor
	Bytes      []byte
}

// Source reads images. Implementations are safe for concurrent use, check size
// and digest of all they return, and honour the context.
type Source interface {
	// Manifest returns the manifest that ref's digest, or else its tag, names.
	// It is at most [MaxManifest] bytes. [ErrNotFound] if there is none.
	Manifest(ctx context.Context, ref Reference) (Manifest, error)
	// Blob returns the blob desc names in ref's repository. It refuses with
	// [ErrTooLarge] before reading when desc.Size is over limit (bytes), and
	// never reads past desc.Size.
	Blob(ctx context.Context, ref Reference, desc ocispec.Descriptor, limit int64) ([]byte, error)
	// Referrers lists up to [MaxReferrers] manifests whose subject is ref's
	// digest (ref must have one), through the referrers API or, where the
	// registry lacks it, the fallback tag. No referrers is no error.
	Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error)
}

// Sink writes images. Implementations are safe for concurrent use; writing what
// is there already is not an error and transfers nothing.
type Sink interface {
	// PutBlob stores data, which must match desc, in ref's repository.
	// mountFrom may name another repository of the same registry that has the
	// blob ("" when none is known): the registry then copies it itself.
	PutBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, data []byte, mountFrom string) error
	// PutManifest stores m under ref's tag, if it has one, else its digest. All
	// blobs and child manifests must be there already. A manifest with a subject
	// becomes a referrer, through the fallback tag where the registry needs it.
	PutManifest(ctx context.Context, ref Reference, m Manifest) error
}
