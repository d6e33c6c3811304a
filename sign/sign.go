// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// Repository is where the image is and its signature goes.
type Repository interface {
	image.Source
	image.Sink
}

// Options of [Sign].
type Options struct {
	// Legacy writes what cosign 2 wrote, appended to the tag sha256-<hex>.sig,
	// instead of a bundle.
	Legacy bool
	// Annotations go into the signed content.
	Annotations map[string]string
	// Created is the creation time noted beside a bundle; default: now. It is
	// not part of what is signed.
	Created time.Time
}

// Result says what was signed and where the signature is.
type Result struct {
	// Subject is the image manifest that was signed, Signature the manifest that
	// holds the signature.
	Subject, Signature ocispec.Descriptor
}

// Sign resolves ref once and signs that digest, never a tag. Signing again with
// the same key is not an error: a legacy signature that is there already is
// kept, a bundle is added to those there are.
func Sign(ctx context.Context, repo Repository, ref image.Reference, signer signature.SignerVerifier, opts Options) (Result, error) {
	m, err := repo.Manifest(ctx, ref)
	if err != nil {
		return Result{}, fmt.Errorf("resolving the digest: %w", err)
	}
	d := m.Descriptor.Digest
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return Result{}, fmt.Errorf("digest %q: only sha256 digests can be signed", d)
	}
	job := &job{repo: repo, ref: ref.WithDigest(d.String()), signer: signer, opts: opts, subject: ocispec.Descriptor{
		MediaType: m.Descriptor.MediaType, Digest: d, Size: m.Descriptor.Size,
	}}
	if job.public, err = signer.PublicKey(); err != nil {
		return Result{}, fmt.Errorf("reading the public key of the private key: %w", err)
	}
	write := job.writeBundle
	if opts.Legacy {
		write = job.writeLegacy
	}
	sig, err := write(ctx)
	if err != nil {
		return Result{}, err
	}
	return Result{Subject: job.subject, Signature: sig}, nil
}

// job is one call of [Sign] after the reference was resolved.
type job struct {
	repo    Repository
	ref     image.Reference // the image, by digest
	subject ocispec.Descriptor
	signer  signature.SignerVerifier
	public  crypto.PublicKey
	opts    Options
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
	if err := j.repo.PutBlob(ctx, j.ref, desc, data, ""); err != nil {
		return desc, fmt.Errorf("writing %s: %w", mediaType, err)
	}
	return desc, nil
}

// putManifest stores m under tag or, when that is "", under its digest alone.
func (j *job) putManifest(ctx context.Context, tag string, m ocispec.Manifest) (ocispec.Descriptor, error) {
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.MediaType = ocispec.MediaTypeImageManifest
	data, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("encoding the signature manifest: %w", err)
	}
	desc := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	at := j.ref.WithDigest(desc.Digest.String())
	if tag != "" {
		at = j.ref.WithTag(tag)
	}
	if err := j.repo.PutManifest(ctx, at, image.Manifest{Descriptor: desc, Bytes: data}); err != nil {
		return desc, fmt.Errorf("writing the signature manifest: %w", err)
	}
	return desc, nil
}
