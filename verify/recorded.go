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
// wraps [ErrNotTrusted]. Without one, known is false when the rule also asks what a
// record does not say. repository is "registry/path".
func Recorded(rec schemas.Instance, repository string, trust Trust, opts Options) (known bool, err error) {
	for _, d := range []string{rec.Digest, rec.IndexDigest} {
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
	if err := rule.recordedSigners(rec.Signers, now(opts)); err != nil {
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
	return len(rule.attestations) == 0 && !rule.limits.restrict(), nil
}

// recordedSigners sees whether enough of them are trusted today. Nobody is counted
// for two entries of the rule, nor the other way round.
func (r Rule) recordedSigners(list []schemas.Signer, now time.Time) error {
	var signed []proven
	failed := "none of its signers is trusted there"
	for _, s := range list {
		if s.Kind == schemas.SignerKey && r.denied.has(s.KeyID) {
			failed = fmt.Sprintf("its signer, the key %s, is %s", s.KeyID, errDenied)
			continue
		}
		entries, err := r.signers.entriesOf(s, now)
		if err != nil {
			failed = err.Error()
		}
		if len(entries) > 0 {
			signed = append(signed, proven{signer: s, entries: entries})
		}
	}
	switch n := distinct(signed); {
	case n >= r.threshold:
		return nil
	case n == 0:
		return fmt.Errorf("%w by %s any more: %s", ErrNotTrusted, r, failed)
	default:
		return fmt.Errorf("%w by %s any more: it is signed by %d of the %d distinct signers needed", ErrNotTrusted, r, n, r.threshold)
	}
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
