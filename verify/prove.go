// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// errOtherKey: the claims of a candidate hold, its signature is not by any of
// the trusted keys, or damaged, which cannot be told apart.
var errOtherKey = errors.New("not signed by a trusted key, or changed after it was signed")

// errNoIdentities: a certificate where nothing but keys counts.
var errNoIdentities = errors.New("is signed with a certificate: only keys are trusted here")

// evidence is a signature with what comes along with it: certificate, log
// entries, timestamps.
type evidence struct {
	*bundle.Bundle
	// artifact is what must be signed, anew for each try.
	artifact func() sigverify.ArtifactPolicyOption
	// stampedBytes is what its timestamps may be of besides the signature: of a
	// legacy attestation, the envelope as it was stored. Nil for all others.
	stampedBytes []byte
	// unread says of a log entry that is there why it is not looked at.
	unread error
}

func (e evidence) byKey() bool {
	_, ok := e.VerificationMaterial.GetContent().(*protobundle.VerificationMaterial_PublicKey)
	return ok
}

func (e evidence) logged() bool { return len(e.VerificationMaterial.GetTlogEntries()) > 0 }

func (e evidence) stamped() bool {
	return len(e.VerificationMaterial.GetTimestampVerificationData().GetRfc3161Timestamps()) > 0
}

// proven is who made a signature, as far as somebody may sign.
type proven struct {
	signer schemas.Signer
	// entries are those of the [party] that this signer is: keys are counted
	// first, then identities.
	entries []int
	result  *sigverify.VerificationResult
}

// party is a set of signers ready for use.
type party struct {
	keys       []verifier
	identities []identity
}

func newParty(s signers) (party, error) {
	keys, err := newVerifiers(s.keys)
	return party{keys: keys, identities: s.identities}, err
}

// prove returns who of p made the signature e.
func (c *checker) prove(e evidence, p party) (proven, error) {
	if e.byKey() {
		return c.proveKey(e, p)
	}
	if len(p.identities) == 0 || c.rule.root == nil {
		return proven{}, errNoIdentities
	}
	return c.proveIdentity(e, p)
}

// proveKey finds the key that signed, then what the rule wants to know of when.
func (c *checker) proveKey(e evidence, p party) (proven, error) {
	failed := errOtherKey
	for i, v := range p.keys {
		for _, form := range v.forms {
			material := keyMaterial(form)
			result, err := run(e, material, sigverify.WithKey(), sigverify.WithNoObserverTimestamps())
			if err != nil {
				continue
			}
			result, logged, err := c.proveKeyTime(e, v.key, material, result)
			if err != nil {
				failed = err
				continue
			}
			signer := schemas.Signer{
				Kind: schemas.SignerKey, KeyID: v.key.ID, KeyFile: v.key.File,
				SignedAt: earliest(result.VerifiedTimestamps), Logged: logged,
			}
			if signer.SignedAt != nil || signer.Logged {
				signer.TrustedRoot = c.rule.root.ID
			}
			return proven{result: result, entries: []int{i}, signer: signer}, nil
		}
	}
	return proven{}, failed
}

// proveKeyTime adds to result, the proof that key signed, what the rule demands
// of log and time, and sees that the key was good then.
func (c *checker) proveKeyTime(e evidence, key Key, material root.TrustedMaterial, result *sigverify.VerificationResult) (*sigverify.VerificationResult, bool, error) {
	if c.rule.denied.has(key.ID) {
		return nil, false, fmt.Errorf("signed by the key %s (%s), which is %w", key.ID, key.File, errDenied)
	}
	bounded := !key.NotBefore.IsZero() || !key.NotAfter.IsZero()
	logged := false
	if c.rule.logKeys || c.rule.timeKeys || bounded && c.rule.root != nil && (e.logged() || e.stamped()) {
		var err error
		all := root.TrustedMaterialCollection{material, c.material(e)}
		w := ways{log: c.rule.logKeys, time: c.rule.timeKeys, wantTime: bounded}
		if result, logged, err = w.run(e, all, sigverify.WithKey()); err != nil {
			return nil, false, fmt.Errorf("signed by the key %s, but %w", key.File, err)
		}
	}
	times := result.VerifiedTimestamps
	if len(times) == 0 {
		return result, logged, key.goodAt(c.now, "now, and nothing proves when it signed")
	}
	for _, t := range times {
		if err := key.goodAt(t.Timestamp, "when it signed"); err != nil {
			return nil, false, err
		}
	}
	return result, logged, nil
}

// goodAt says whether the key may sign at t.
func (k Key) goodAt(t time.Time, when string) error {
	switch {
	case !k.NotBefore.IsZero() && t.Before(k.NotBefore):
		return fmt.Errorf("signed by the key %s, which is not trusted before %s: %s it is %s",
			k.File, k.NotBefore.UTC().Format(time.RFC3339), when, t.UTC().Format(time.RFC3339))
	case !k.NotAfter.IsZero() && t.After(k.NotAfter):
		return fmt.Errorf("signed by the key %s, which is not trusted after %s: %s it is %s",
			k.File, k.NotAfter.UTC().Format(time.RFC3339), when, t.UTC().Format(time.RFC3339))
	}
	return nil
}

// keyMaterial trusts one key, whatever a bundle calls it: the hint there is the
// signer's word, and every trusted key is tried. When it is good is judged by
// [checker.proveKeyTime].
func keyMaterial(form signature.Verifier) root.TrustedMaterial {
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(form, time.Time{}, time.Time{}), nil
	})
}

// run verifies e once.
func run(e evidence, material root.TrustedMaterial, who sigverify.PolicyOption, opts ...sigverify.VerifierOption) (*sigverify.VerificationResult, error) {
	v, err := sigverify.NewVerifier(material, append(opts, sigverify.WithoutStatementPredicate())...)
	if err != nil {
		return nil, err
	}
	return v.Verify(e, sigverify.NewPolicy(e.artifact(), who))
}

// earliest of the proven times, nil without any.
func earliest(times []sigverify.TimestampVerificationResult) *time.Time {
	var first *time.Time
	for _, t := range times {
		if at := t.Timestamp.UTC(); first == nil || at.Before(*first) {
			first = &at
		}
	}
	return first
}
