// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationSubject marks an entry of index.json as a referrer and holds the
// digest of its subject. OCI image layouts have no other place for it that
// would spare reading every manifest.
const annotationSubject = "dev.bpfimg.referrer.subject"

// Store holds images in a folder: an OCI image layout, which skopeo, crane and
// others read, with a lock file and a folder for unfinished writes beside it.
//
//	oci-layout, index.json, blobs/sha256/<hex>   the OCI image layout; blobs/sha512
//	                                             once something is named so
//	.lock                                        held while index.json changes
//	tmp/                                         files being written, and what
//	                                             was downloaded and is not kept yet
//	unasked/                                     what is attached to images and was
//	                                             not fetched along with them
//
// An image's entry in index.json carries its whole name in the annotation
// org.opencontainers.image.ref.name ("localhost:5000/xdp-counter:v1", or with
// @sha256:… for one pulled by digest); a referrer's carries its subject in
// dev.bpfimg.referrer.subject instead, and for which repositories it is. An index may be stored without all of
// its children: only the platforms that were pulled are there.
//
// Every file is written in tmp/ and renamed to its place. Nothing waits for the disk
// then; before index.json names a manifest, all that it leads to is made durable at
// once, and so is the new index.json before it replaces the old one. A crash, a full
// disk or a power cut therefore leaves the old or the new image and, beside it, files
// that nothing names: in tmp/, which a later write removes after an hour, and blobs,
// which may be torn. Content is hashed whenever it is read, and before a write takes
// it for there; what no longer matches its name is written anew.
//
// A Store is safe for concurrent use, also by several processes. Removing an
// image while another process stores one that shares blobs with it can make
// that PutManifest fail with [ErrNotFound]; it never leaves an image without
// its blobs. [Copy] then copies them again.
type Store struct {
	dir string
	// step, in tests, is told of every step of a write and may make it fail.
	step func(name string) error
	now  func() time.Time
	// openDisk is what [Store.barrier] is given, nil in tests of systems without.
	openDisk func(dir string) *os.File
	layoutKind
}

// layoutKind is where the local store and a layout written for others differ.
type layoutKind struct {
	// what it is called in errors, and what to do when it cannot be used.
	what, elsewhere, space string
	// mode is that of new folders.
	mode fs.FileMode
	// entryName is what a name is called in index.json; "" for nothing.
	entryName func(Reference) string
	// records says that index.json remembers where attachments came from, which is
	// nobody's business in a layout for others.
	records bool
}

// localStore is the kind of [OpenStore].
var localStore = layoutKind{
	what:      "the local store",
	elsewhere: "set BPFIMG_ROOT to another place",
	space:     "`bpfimg rm` and `bpfimg prune` free space",
	// Images can be private, so only their owner gets into the folder.
	mode:      0o700,
	entryName: Reference.String,
	records:   true,
}

var (
	_ Source = (*Store)(nil)
	_ Sink   = (*Store)(nil)
)

// OpenStore opens the store in dir. The first write creates it.
func OpenStore(dir string) (*Store, error) { return openLayoutStore(dir, localStore) }

func openLayoutStore(dir string, kind layoutKind) (*Store, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", kind.what, err)
	case !info.IsDir():
		return nil, fmt.Errorf("opening %s: %s is not a folder; %s", kind.what, dir, kind.elsewhere)
	}
	s := &Store{dir: dir, now: time.Now, openDisk: openDisk, layoutKind: kind}
	if err := s.checkLayout(); err != nil {
		return nil, err
	}
	return s, nil
}

// Manifest implements [Source]. A digest is found whatever repository its
// manifest was stored for, because it names the same bytes everywhere.
func (s *Store) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	m, err := s.manifest(ctx, ref)
	if err != nil {
		return Manifest{}, fmt.Errorf("reading %s from the local store: %w", ref, err)
	}
	return m, nil
}

func (s *Store) manifest(ctx context.Context, ref Reference) (Manifest, error) {
	if err := joined.Errors(ctx.Err(), ref.check()); err != nil {
		return Manifest{}, err
	}
	if ref.digest != "" {
		return s.manifestAt(digest.Digest(ref.digest), manifestLimit(ctx))
	}
	index, err := s.loadIndex()
	if err != nil {
		return Manifest{}, err
	}
	for _, entry := range index.Manifests {
		if entry.Annotations[ocispec.AnnotationRefName] == ref.String() {
			return s.manifestAt(entry.Digest, manifestLimit(ctx))
		}
	}
	return Manifest{}, fmt.Errorf("no such image: %w", ErrNotFound)
}

// manifestAt reads the manifest with a digest, of at most limit bytes. Its type is the one it carries.
func (s *Store) manifestAt(d digest.Digest, limit int64) (Manifest, error) {
	data, err := s.readBlob(d, limit)
	if err != nil {
		return Manifest{}, err
	}
	return newManifest(data, "", d)
}

// Blob implements [Source]. Like digests of manifests, blobs are found whatever
// repository they were stored for.
func (s *Store) Blob(ctx context.Context, ref Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := s.blob(ctx, desc, limit)
	if err != nil {
		return nil, fmt.Errorf("reading a blob of %s from the local store: %w", ref, err)
	}
	return data, nil
}

func (s *Store) blob(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := joined.Errors(ctx.Err(), checkDescriptor(desc, limit)); err != nil {
		return nil, err
	}
	data, err := s.readBlob(desc.Digest, desc.Size)
	if errors.Is(err, ErrTooLarge) {
		return nil, fmt.Errorf("%s is longer than %d bytes: %w", desc.Digest, desc.Size, ErrDigestMismatch)
	}
	if err != nil {
		return nil, err
	}
	return data, checkContent(data, desc)
}

// Referrers implements [Source]. Damaged or missing referrers are left out.
func (s *Store) Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	index, err := s.loadIndex()
	if err := joined.Errors(ctx.Err(), ref.check(), err); err != nil {
		return nil, fmt.Errorf("listing the referrers of %s in the local store: %w", ref, err)
	}
	if ref.digest == "" {
		return nil, fmt.Errorf("listing the referrers of %s in the local store: %w: it has no digest", ref, ErrReference)
	}
	var list []ocispec.Descriptor
	for _, entry := range index.Manifests {
		if entry.Annotations[annotationSubject] != ref.digest {
			continue
		}
		if desc, ok := s.referrer(entry.Digest); ok {
			list = append(list, desc)
		}
	}
	return saneReferrers(list), nil
}

// referrer describes a stored referrer as a registry's list does. Its
// annotations are read from the manifest: in index.json, one a stranger chose
// could pass for an image's name.
func (s *Store) referrer(d digest.Digest) (ocispec.Descriptor, bool) {
	m, err := s.manifestAt(d, MaxManifest)
	if err != nil {
		return ocispec.Descriptor{}, false
	}
	head, err := parseHead(m.Bytes)
	if err != nil {
		return ocispec.Descriptor{}, false
	}
	m.Descriptor.ArtifactType = head.artifactKind()
	m.Descriptor.Annotations = head.Annotations
	return m.Descriptor, true
}

func (s *Store) blobPath(d digest.Digest) string {
	return filepath.Join(s.dir, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (s *Store) blobFolder(a digest.Algorithm) string {
	return filepath.Join(s.dir, ocispec.ImageBlobsDir, a.String())
}

// blobFile is one file in a folder of blobs, by its name.
type blobFile struct {
	fs.DirEntry
	digest digest.Digest
}

// blobFiles lists the files that are named as blobs are. fs.ErrNotExist if there is
// no store.
func (s *Store) blobFiles() ([]blobFile, error) {
	var files []blobFile
	for _, a := range algorithms {
		entries, err := os.ReadDir(s.blobFolder(a))
		if errors.Is(err, fs.ErrNotExist) && a != algorithms[0] {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if d := digest.NewDigestFromEncoded(a, entry.Name()); checkDigest(d.String()) == nil {
				files = append(files, blobFile{entry, d})
			}
		}
	}
	return files, nil
}
