// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Repository is where the image is and its signature goes. One that is an
// [image.FallbackWriter], too, is helped where it does not list what it got.
type Repository interface {
	image.Source
	image.Sink
}

// Options of [Sign] and [Attest].
type Options struct {
	// Legacy writes what cosign 2 wrote, appended to the tag sha256-<hex>.sig,
	// instead of a bundle. It holds no certificate: signatures with services are
	// bundles.
	Legacy bool
	// Recursive signs every image of an index too, and the index last.
	Recursive bool
	// Annotations go into the signed content.
	Annotations map[string]string
	// Created is the creation time noted beside a bundle; default: now. It is
	// not part of what is signed.
	Created time.Time
	// Services are asked for certificates, log entries and timestamps; default:
	// none.
	Services Services
}

// Result says what was signed and where the signature is.
type Result struct {
	// Subject is the image manifest that was signed, Signature the manifest that
	// holds the signature.
	Subject, Signature ocispec.Descriptor
	// Images are those of the index that were signed with it, in its order.
	Images []Result
}

// ErrMoved: the tag names another image than the one that was resolved. Nothing
// was written or, of [Options].Recursive, signatures of some of the index's images
// and not the index's.
var ErrMoved = errors.New("the tag moved while the image was being signed")

// Sign resolves ref once and signs that digest, never a tag: the signature is
// written only when the tag still names it then ([ErrMoved]). What was written is
// looked for where readers look, and must be there ([ErrUnlisted]). Signing again with
// the same key is not an error: a legacy signature that is there already is
// kept, a bundle is added to those there are.
func Sign(ctx context.Context, repo Repository, ref image.Reference, signer signature.SignerVerifier, opts Options) (Result, error) {
	j, err := newJob(ctx, repo, ref, signer, opts)
	if err != nil {
		return Result{}, err
	}
	write := func(ctx context.Context, j *job) (ocispec.Descriptor, error) {
		return j.writeBundle(ctx, signaturePredicate())
	}
	if opts.Legacy {
		if s := opts.Services; s.Keyless() || len(s.Logs)+len(s.Timestamps) > 0 {
			return Result{}, fmt.Errorf("%w: legacy signatures hold no certificate, log entry or timestamp here: make a bundle", ErrServices)
		}
		write = func(ctx context.Context, j *job) (ocispec.Descriptor, error) { return j.writeLegacy(ctx) }
	}
	if opts.Recursive {
		return j.signAll(ctx, write)
	}
	sig, err := write(ctx, j)
	return Result{Subject: j.subject, Signature: sig}, err
}

// Attest resolves ref once, as [Sign] does, and attaches a signed statement that
// says p of it, as a bundle.
func Attest(ctx context.Context, repo Repository, ref image.Reference, signer signature.SignerVerifier, p Predicate, opts Options) (Result, error) {
	j, err := newJob(ctx, repo, ref, signer, opts)
	if err != nil {
		return Result{}, err
	}
	sig, err := j.writeBundle(ctx, p)
	return Result{Subject: j.subject, Signature: sig}, err
}

// newJob resolves ref.
func newJob(ctx context.Context, repo Repository, ref image.Reference, signer signature.SignerVerifier, opts Options) (*job, error) {
	public, err := signer.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("reading the public key of the private key: %w", err)
	}
	if err := opts.Services.checkKey(public); err != nil {
		return nil, err
	}
	m, err := repo.Manifest(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("resolving the digest: %w", err)
	}
	j := &job{repo: repo, named: ref, signer: signer, public: public, opts: opts}
	return j.at(m)
}

// job is one signature after the reference was resolved.
type job struct {
	repo    Repository
	named   image.Reference // as it was given
	top     digest.Digest   // what named was when it was resolved
	ref     image.Reference // the image, by digest
	subject ocispec.Descriptor
	content []byte // the manifest
	signer  signature.SignerVerifier
	public  crypto.PublicKey
	opts    Options
	blobs   []blob // that were put
}

// at is the same job for the manifest m.
func (j *job) at(m image.Manifest) (*job, error) {
	d := m.Descriptor.Digest
	if err := image.CheckDigest(d); err != nil {
		return nil, err
	}
	if j.opts.Legacy && image.LegacyTag(d, ".sig") == "" {
		return nil, fmt.Errorf("%s: cosign 2's signatures are found by a tag of the whole digest, which is too long a tag with sha512: make a bundle", d)
	}
	at := *j
	if at.top == "" {
		at.top = d
	}
	at.ref = j.named.WithDigest(d.String())
	at.subject = ocispec.Descriptor{MediaType: m.Descriptor.MediaType, Digest: d, Size: m.Descriptor.Size}
	at.content = m.Bytes
	return &at, nil
}

// unmoved fails with [ErrMoved] when the tag that was resolved names another
// image now: whoever typed it may have meant that one.
func (j *job) unmoved(ctx context.Context) error {
	if j.named.Digest() != "" {
		return nil
	}
	m, err := j.repo.Manifest(ctx, j.named)
	if err != nil {
		return fmt.Errorf("resolving the digest again: %w", err)
	}
	if m.Descriptor.Digest != j.top {
		return fmt.Errorf("%w: %s was %s and is %s now: look at it, and sign the digest that is meant", ErrMoved, j.named, j.top, m.Descriptor.Digest)
	}
	return nil
}

// hash makes ECDSA keys of any curve sign SHA-256, which is all that
// `cosign verify --key` tries; libraries choose by the curve.
func (j *job) hash() crypto.SignerOpts {
	if _, ok := j.public.(*ecdsa.PublicKey); ok {
		return crypto.SHA256
	}
	return nil
}

// sign returns the signature of message in the form the key's kind has.
func (j *job) sign(ctx context.Context, message []byte) ([]byte, error) {
	opts := []signature.SignOption{options.WithContext(ctx)}
	if h := j.hash(); h != nil {
		opts = append(opts, options.WithCryptoSignerOpts(h))
	}
	sig, err := j.signer.SignMessage(bytes.NewReader(message), opts...)
	if err != nil {
		return nil, fmt.Errorf("signing with the private key: %w", err)
	}
	return sig, nil
}

// verify says whether sig is what sign makes of message.
func (j *job) verify(sig, message []byte) bool {
	var opts []signature.VerifyOption
	if h := j.hash(); h != nil {
		opts = append(opts, options.WithCryptoSignerOpts(h))
	}
	return j.signer.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message), opts...) == nil
}

// putBlob stores data beside the image and returns its descriptor.
func (j *job) putBlob(ctx context.Context, mediaType string, data []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	j.blobs = append(j.blobs, blob{desc, data})
	if err := j.repo.PutBlob(ctx, j.ref, desc, data, ""); err != nil {
		return desc, fmt.Errorf("writing %s: %w", mediaType, err)
	}
	return desc, nil
}

// putManifest stores m under tag or, when that is "", under its digest alone.
func (j *job) putManifest(ctx context.Context, tag string, m ocispec.Manifest) (image.Manifest, error) {
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.MediaType = ocispec.MediaTypeImageManifest
	data, err := json.Marshal(m)
	if err != nil {
		return image.Manifest{}, fmt.Errorf("encoding the signature manifest: %w", err)
	}
	put := image.Manifest{
		Descriptor: ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))},
		Bytes:      data,
	}
	at := j.ref.WithDigest(put.Descriptor.Digest.String())
	if tag != "" {
		at = j.ref.WithTag(tag)
	}
	err = j.repo.PutManifest(ctx, at, put)
	if errors.Is(err, image.ErrBlobsMissing) {
		if err = j.putBlobsAgain(ctx); err == nil {
			err = j.repo.PutManifest(ctx, at, put)
		}
	}
	if err != nil {
		return put, fmt.Errorf("writing the signature manifest: %w", err)
	}
	return put, nil
}

// blob is one that was put for the manifest to come.
type blob struct {
	desc ocispec.Descriptor
	data []byte
}

// putBlobsAgain puts all of them where the registry has said that it has one, and lacks
// it.
func (j *job) putBlobsAgain(ctx context.Context) error {
	for _, b := range j.blobs {
		if err := j.repo.PutBlob(ctx, j.ref, b.desc, b.data, ""); err != nil {
			return fmt.Errorf("writing %s: %w", b.desc.MediaType, err)
		}
	}
	return nil
}
