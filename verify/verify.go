// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"errors"
	"log/slog"

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
	img     *pull.Image
	desc    schemas.Description
	signers []schemas.Signer
	skipped bool
}

// Reference is what was asked for, Digest the image manifest that was verified.
func (v *Verified) Reference() image.Reference { return v.img.Reference }

// Digest is "sha256:<hex>" of the platform's image manifest.
func (v *Verified) Digest() string { return v.img.Manifest.Descriptor.Digest.String() }

// Objects are the verified ELF files in load order.
func (v *Verified) Objects() []pull.Object { return v.img.Objects }

// Description is read from the verified bytes, not from labels; attach defaults
// of the (signed) labels are carried over for programs that really exist.
func (v *Verified) Description() schemas.Description { return v.desc }

// Signers lists the signatures that were proven; empty after [Skip].
func (v *Verified) Signers() []schemas.Signer { return v.signers }

// Skipped says that verification was skipped on purpose.
func (v *Verified) Skipped() bool { return v.skipped }

// Trust decides which keys may sign for a repository. [Keys] and [Policy]
// implement it.
type Trust interface {
	// KeysFor returns the keys trusted for a repository ("registry/path"), or an
	// error wrapping [ErrNotTrusted] when no rule matches.
	KeysFor(repository string) ([]Key, error)
}

// Key is a trusted public key.
type Key struct {
	// ID is "sha256:<hex>" of its PKIX DER form, File where it was read from.
	ID, File string
	// PEM holds the key in PKIX PEM form.
	PEM []byte
}

// Check verifies img against trust: at least one candidate must be a signature
// of the image (or of the index it was chosen from) by a trusted key. The error
// wraps [ErrNotTrusted] and lists why each candidate failed.
func Check(ctx context.Context, img *pull.Image, trust Trust) (*Verified, error) {
	return nil, errors.New("not implemented")
}

// Skip makes a Verified of an image nobody verified. It logs a warning that
// names the image; there is no other way around [Check].
func Skip(img *pull.Image, log *slog.Logger) (*Verified, error) {
	return nil, errors.New("not implemented")
}
