// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// Recorded judges an image of which there is no more than the record of an
// instance: its digests, and who had been proven to have signed it. The error
// wraps [ErrNotTrusted]. Without one, known is false when the policy also asks what
// the record does not say, such as a log entry that nobody looked for at that
// time, or denies by another kind of digest than it has. repository is "registry/path".
func Recorded(rec schemas.Instance, repository string, trust Trust, opts Options) (known bool, err error) {
	for _, d := range append([]string{rec.Digest, rec.IndexDigest}, rec.Objects...) {
		if d != "" && trust.Denied(d) {
			return true, fmt.Errorf("%w: %w: %s is on its deny list", ErrNotTrusted, errDenied, d)
		}
	}
	rule, err := trust.Rule(repository)
	if err != nil {
		return true, err
	}
	if rec.Unverified {
		return true, fmt.Errorf("%w: verification was skipped on purpose when it was run", ErrNotTrusted)
	}
	if known, err = rule.recordedSigners(rec.Signers, now(opts)); err != nil {
		return true, err
	}
	for _, l := range rec.Links {
		if !rule.limits.placeAllowed(l.Hook, l.Target) {
			return true, fmt.Errorf("%w by allow.hooks of %s: program %q is attached to %q", ErrNotTrusted, rule, clip(l.Program), clip(l.Hook+":"+l.Target))
		}
	}
	if text := rule.limits.versionProblem(rec.Version); text != "" {
		return true, fmt.Errorf("%w by minimumVersion of %s: %s", ErrNotTrusted, rule, text)
	}
	return known && rule.denied.decides(rec.Digest, rec.IndexDigest) && len(rec.Objects) > 0 && len(rule.attestations) == 0 && !rule.limits.restrict(), nil
}

// recordedSigners sees whether enough of them are trusted today. Nobody is counted
// for two entries of the rule, nor the other way round. known is false when it
// takes some to be enough whose proofs the record does not have.
func (r Rule) recordedSigners(list []schemas.Signer, now time.Time) (known bool, err error) {
	var proved, possible []proven
	failed := "none of its signers is trusted there"
	for _, s := range list {
		if id := s.KeyID + s.CertificateKey; r.denied.has(id) {
			failed = fmt.Sprintf("its signer, the key %s, is %s", id, errDenied)
			continue
		}
		entries, err := r.signers.entriesOf(s, now)
		if err != nil {
			failed = err.Error()
		}
		if len(entries) == 0 {
			continue
		}
		possible = append(possible, proven{signer: s, entries: entries})
		if r.provenOf(s) {
			proved = append(proved, possible[len(possible)-1])
		}
	}
	switch n := distinct(possible); {
	case n >= r.threshold:
		return distinct(proved) >= r.threshold, nil
	case n == 0:
		return true, fmt.Errorf("%w by %s any more: %s", ErrNotTrusted, r, failed)
	default:
		return true, fmt.Errorf("%w by %s any more: it is signed by %d of the %d distinct signers needed", ErrNotTrusted, r, n, r.threshold)
	}
}

// provenOf says whether the record has of s all that the rule wants proven, by the
// trusted root that it has now.
func (r Rule) provenOf(s schemas.Signer) bool {
	byRoot := r.root != nil && s.TrustedRoot == r.root.ID
	if s.Kind == schemas.SignerIdentity {
		return byRoot && (s.Logged || !r.logIDs)
	}
	return (s.Logged || !r.logKeys) && (s.SignedAt != nil || !r.timeKeys) &&
		(byRoot || !r.logKeys && !r.timeKeys && s.SignedAt == nil)
}

// entriesOf are those that signer, proven before, counts for: keys first, then
// identities, as in [party].
func (s signers) entriesOf(signer schemas.Signer, now time.Time) (entries []int, err error) {
	if signer.Kind == schemas.SignerKey {
		at, when := now, "now, and nothing proves when it signed"
		if signer.SignedAt != nil {
			at, when = *signer.SignedAt, "when it signed"
		}
		for i, k := range s.keys {
			if k.ID != signer.KeyID {
				continue
			}
			if err = k.goodAt(at, when); err == nil {
				return []int{i}, nil
			}
		}
		return nil, err
	}
	for i, id := range s.identities {
		if id.matches(certificate.Summary{
			SubjectAlternativeName: signer.Subject,
			Extensions: certificate.Extensions{
				Issuer: signer.Issuer, SourceRepositoryURI: signer.SourceRepository,
				SourceRepositoryRef: signer.SourceRef, BuildConfigURI: signer.Workflow,
			},
		}) == nil {
			entries = append(entries, len(s.keys)+i)
		}
	}
	return entries, nil
}
