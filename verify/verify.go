// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// ErrNotTrusted is wrapped by every refusal of this package; the command line
// exits 3 on it.
var ErrNotTrusted = errors.New("not trusted")

// Verified is an image whose bytes may be loaded. Only [Check] and [Skip] make
// one; it holds its own copy-free view of the bytes that were verified.
type Verified struct {
	img      *pull.Image
	desc     schemas.Description
	signers  []schemas.Signer
	attempts []Attempt
	warnings []string
	skipped  bool
}

// Reference is what was asked for, Digest the image manifest that was verified.
func (v *Verified) Reference() image.Reference { return v.img.Reference }

// Digest is "sha256:<hex>" of the platform's image manifest.
func (v *Verified) Digest() string { return v.img.Manifest.Descriptor.Digest.String() }

// Objects are the verified ELF files in load order.
func (v *Verified) Objects() []pull.Object { return slices.Clone(v.img.Objects) }

// BTF returns the verified types the image brings for one kernel, by its exact
// release (`uname -r`) and architecture (in Go's spelling); nil when it brings
// none. kernels is how many it brings some for. Nothing has read them yet.
func (v *Verified) BTF(release, arch string) (types []byte, kernels int) {
	for _, b := range v.img.BTF {
		kernels += len(b.Kernels)
		if b.Arch == arch && slices.Contains(b.Kernels, release) {
			types = b.Bytes
		}
	}
	return types, kernels
}

// Description is read from the verified bytes, not from labels; attach defaults
// of the (signed) labels are carried over for programs that really exist.
func (v *Verified) Description() schemas.Description { return v.desc }

// Signers lists the signatures that were proven; empty after [Skip].
func (v *Verified) Signers() []schemas.Signer { return slices.Clone(v.signers) }

// Skipped says that verification was skipped on purpose.
func (v *Verified) Skipped() bool { return v.skipped }

// Warnings are sentences about labels that do not agree with the objects; such
// labels were ignored.
func (v *Verified) Warnings() []string { return slices.Clone(v.warnings) }

// Trust decides which keys may sign for a repository. [Keys] and [Policy]
// implement it.
type Trust interface {
	// KeysFor returns the keys trusted for a repository ("registry/path"), or an
	// error wrapping [ErrNotTrusted] when no rule matches.
	KeysFor(repository string) ([]Key, error)
}

var (
	_ Trust = Keys(nil)
	_ Trust = (*Policy)(nil)
)

// Check verifies img against trust: at least one candidate must be a signature
// of the image (or of the index it was chosen from) by a trusted key. A refusal
// is a [NotTrustedError] that lists why each candidate failed, or what trust
// said; both wrap [ErrNotTrusted]. Only then are the objects parsed; an error
// there wraps what package inspect says of them.
func Check(ctx context.Context, img *pull.Image, trust Trust) (*Verified, error) {
	name, digest := img.Reference.Name(), img.Manifest.Descriptor.Digest.String()
	keys, err := trust.KeysFor(name)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", name, digest, err)
	}
	verifiers, err := newVerifiers(keys)
	if err != nil {
		return nil, err
	}
	targets, err := intact(img)
	if err != nil {
		return nil, &NotTrustedError{Reference: name, Digest: digest, Err: err}
	}
	c := &checker{targets: targets, keys: verifiers}
	if err := c.run(ctx, img.Candidates); err != nil {
		return nil, fmt.Errorf("verifying %s@%s: %w", name, digest, err)
	}
	if len(c.signers) == 0 {
		return nil, &NotTrustedError{Reference: name, Digest: digest, Attempts: c.attempts}
	}
	return describe(&Verified{img: img, signers: c.signers, attempts: c.attempts})
}

// Skip makes a Verified of an image nobody verified. It logs a warning that
// names the image; there is no other way around [Check]. What came from the
// source must still match its digests.
func Skip(img *pull.Image, log *slog.Logger) (*Verified, error) {
	name, digest := img.Reference.Name(), img.Manifest.Descriptor.Digest.String()
	log.Warn("verification skipped on purpose: nobody has proven who made these programs",
		"reference", name, "digest", digest)
	if _, err := intact(img); err != nil {
		return nil, fmt.Errorf("%s@%s: %w", name, digest, err)
	}
	return describe(&Verified{img: img, skipped: true})
}
