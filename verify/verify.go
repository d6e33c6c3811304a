// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrNotTrusted is wrapped by every refusal of this package; the command line
// exits 3 on it.
var ErrNotTrusted = errors.New("not trusted")

// Verified is an image whose bytes may be loaded. Only [Check] and [Skip] make
// one; it holds its own copy-free view of the bytes that were verified.
type Verified struct {
	img      *pull.Image
	rule     Rule
	desc     schemas.Description
	signers  []schemas.Signer
	attempts []Attempt
	seen     Seen
	warnings []string
	skipped  bool
	// decided is when the signatures were verified, if it was not now.
	decided *time.Time
}

// Reference is what was asked for, Digest the image manifest that was verified.
func (v *Verified) Reference() image.Reference { return v.img.Reference }

// Digest is "sha256:<hex>" of the platform's image manifest.
func (v *Verified) Digest() string { return v.img.Manifest.Descriptor.Digest.String() }

// IndexDigest is that of the index the image was chosen from, "" without one.
func (v *Verified) IndexDigest() string {
	if root := v.img.Root.Descriptor.Digest.String(); root != v.Digest() {
		return root
	}
	return ""
}

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

// Rule is what was asked of the image and holds; the zero Rule after [Skip].
func (v *Verified) Rule() Rule { return v.rule }

// Remembered is when the signatures were verified, if not just now; see
// [Verdicts].
func (v *Verified) Remembered() *time.Time { return v.decided }

// Skipped says that verification was skipped on purpose.
func (v *Verified) Skipped() bool { return v.skipped }

// Seen says what was looked at; nothing is counted where a verdict was remembered.
func (v *Verified) Seen() Seen { return v.seen }

// Warnings are sentences about labels that do not agree with the objects; such
// labels were ignored.
func (v *Verified) Warnings() []string { return slices.Clone(v.warnings) }

// Trust decides what is asked of the images of a repository. [Keys], [Signers]
// and [Policy] implement it.
type Trust interface {
	// Rule returns what is asked of a repository ("registry/path"), or an error
	// wrapping [ErrNotTrusted] when no rule matches.
	Rule(repository string) (Rule, error)
	// Denied says whether a digest ("sha256:<hex>" of an index, an image manifest
	// or an object), or the id of a key, was revoked. That goes before every rule.
	Denied(id string) bool
}

var (
	_ Trust = Keys(nil)
	_ Trust = (*Signers)(nil)
	_ Trust = (*Policy)(nil)
)

// Options of [CheckWith].
type Options struct {
	// Now is the time by which a key without proof of when it signed is judged;
	// default: the time of the call.
	Now time.Time
	// Verdicts remembers who has signed, so that a second time need not verify
	// the signatures again. With Fresh they are verified again all the same.
	Verdicts Verdicts
	Fresh    bool
	// All looks at all candidates, for a report of them, instead of ending as soon
	// as the rule is met. What is decided is the same.
	All bool
	// Log is told when a verdict cannot be remembered; default: nobody.
	Log *slog.Logger
}

// Check is [CheckWith] without options.
func Check(ctx context.Context, img *pull.Image, trust Trust) (*Verified, error) {
	return CheckWith(ctx, img, trust, Options{})
}

// CheckWith verifies img against trust: nothing of it is denied, and its
// candidates show everything that the rule of its repository asks. A refusal is
// a [NotTrustedError] that lists why each candidate failed, or what trust said;
// both wrap [ErrNotTrusted], or [ErrUndecided] where not all could be read that may
// say otherwise. Candidates that img has left to be fetched on demand are fetched
// here, the likely ones first, until the rule is met. Only then are the objects parsed; an error there
// wraps what package inspect says of them.
func CheckWith(ctx context.Context, img *pull.Image, trust Trust, opts Options) (*Verified, error) {
	name, digest := img.Reference.Name(), img.Manifest.Descriptor.Digest.String()
	refusal := &NotTrustedError{Reference: name, Digest: digest}
	if refusal.Err = denied(img, trust); refusal.Err != nil {
		return nil, refusal
	}
	rule, err := trust.Rule(name)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", name, digest, err)
	}
	refusal.Rule = rule.String()
	v := &Verified{img: img, rule: rule}
	if err := v.proveSigners(ctx, trust, opts, refusal); err != nil {
		return nil, err
	}
	if v, err = describe(v); err != nil {
		return nil, err
	}
	if refusal.Missing = unmet(rule.limits.judge(v.desc)); len(refusal.Missing) > 0 {
		refusal.shown = true
		return nil, refusal
	}
	return v, nil
}

// proveSigners finds out who has signed and attested what the rule asks for, or
// recalls it. The bytes are hashed in any case.
func (v *Verified) proveSigners(ctx context.Context, trust Trust, opts Options, refusal *NotTrustedError) error {
	targets, err := intact(v.img)
	if err != nil {
		refusal.Err = err
		return refusal
	}
	at := now(opts)
	if !opts.Fresh {
		if found := opts.Verdicts.recall(v.img, trust, at); found != nil {
			v.signers, v.decided, refusal.Signers = found.Signers, &found.Decided, found.Signers
			return ctx.Err()
		}
	}
	c, err := newChecker(v.rule, targets, at)
	if err != nil {
		return err
	}
	c.image = describeSubject(v.img)
	if err := c.look(ctx, v.img, opts.All); err != nil {
		return fmt.Errorf("verifying %s@%s: %w", refusal.Reference, refusal.Digest, err)
	}
	refusal.Attempts, refusal.Signers, refusal.Seen = c.attempts, c.signers, c.seen
	refusal.causes = c.causes
	if refusal.Missing = c.verdict(); len(refusal.Missing) > 0 {
		return refusal
	}
	v.signers, v.attempts, v.seen = c.signers, c.attempts, c.seen
	if err := opts.Verdicts.remember(v.img, trust, v.rule, v.signers, at); err != nil && opts.Log != nil {
		opts.Log.Debug(err.Error(), "reference", refusal.Reference)
	}
	return nil
}

func now(opts Options) time.Time {
	if opts.Now.IsZero() {
		return time.Now()
	}
	return opts.Now
}

// denied returns an error when trust has revoked something of img. What is revoked by
// one digest is not to be had by the other one.
func denied(img *pull.Image, trust Trust) error {
	digests := map[string]string{}
	names := func(data []byte, what string) {
		for _, a := range digestAlgorithms {
			digests[a.FromBytes(data).String()] = what
		}
	}
	names(img.Root.Bytes, "the index or image")
	names(img.Manifest.Bytes, "the image")
	digests[img.Root.Descriptor.Digest.String()] = "the index or image"
	digests[img.Manifest.Descriptor.Digest.String()] = "the image"
	for _, o := range img.Objects {
		what := fmt.Sprintf("the object %q", o.File)
		names(o.Bytes, what)
		digests[o.Digest] = what
	}
	for _, d := range slices.Sorted(maps.Keys(digests)) {
		if trust.Denied(d) {
			return fmt.Errorf("%w: %s %s is on its deny list", errDenied, digests[d], d)
		}
	}
	return nil
}

// describeSubject is what conditions know of img.
func describeSubject(img *pull.Image) subjectImage {
	return subjectImage{repository: img.Reference.Name(), digest: img.Manifest.Descriptor.Digest.String(), version: claimedVersion(img)}
}

// claimedVersion is the version img says it has, in its Description or else in a
// label; "" without one.
func claimedVersion(img *pull.Image) string {
	if img.Described != nil && img.Described.Version != "" {
		return img.Described.Version
	}
	return img.Labels[ocispec.AnnotationVersion]
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
