// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/verify/verifytest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// expiredSigstore is one whose intermediate certificate is no longer valid.
func expiredSigstore(t *testing.T) *verifytest.Sigstore {
	t.Helper()
	return verifytest.NewSigstore(t, -50*time.Minute, -40*time.Minute)
}

// material changes what came along with a signature.
func material(change func(m *protobundle.VerificationMaterial)) func(*verifytest.Signing) {
	return func(how *verifytest.Signing) {
		how.Change = func(b *protobundle.Bundle) { change(b.GetVerificationMaterial()) }
	}
}

// entry changes the log entry of a signature.
func entry(change func(e *protorekor.TransparencyLogEntry)) func(*verifytest.Signing) {
	return material(func(m *protobundle.VerificationMaterial) { change(m.TlogEntries[0]) })
}

func unlogged(how *verifytest.Signing)  { how.Logged = time.Time{} }
func unstamped(how *verifytest.Signing) { how.Stamped = false }

// validFrom makes the certificate valid for ten minutes from a moment counted
// from now.
func validFrom(start time.Duration) func(*verifytest.Signing) {
	return func(how *verifytest.Signing) {
		how.Template.NotBefore = time.Now().Add(start)
		how.Template.NotAfter = how.Template.NotBefore.Add(10 * time.Minute)
	}
}

func loggedAt(offset time.Duration) func(*verifytest.Signing) {
	return func(how *verifytest.Signing) { how.Logged = time.Now().Add(offset) }
}

// as makes another certificate.
func as(t *testing.T, subject, issuer string) func(*verifytest.Signing) {
	return func(how *verifytest.Signing) { how.Template = verifytest.Certificate(t, subject, issuer) }
}

// TestKeylessAttacks: the attacker can also get certificates, log entries and
// timestamps of the authority that is trusted, in any name but one.
func TestKeylessAttacks(t *testing.T) {
	r := newAttackRig(t)
	for i, row := range keylessAttacks(t, r) {
		t.Run(row.name, func(t *testing.T) {
			if row.args == nil {
				row.args = byIdentity
			}
			r.run(t, i, row)
		})
	}
}

func keylessAttacks(t *testing.T, r *attackRig) []attack {
	by := func(s *verifytest.Sigstore, changes ...func(*verifytest.Signing)) func(*victim) {
		return func(v *victim) { v.attach(v.good, s.Sign(t, signs(v.good), changes...)) }
	}
	ours := func(changes ...func(*verifytest.Signing)) func(*victim) { return by(r.sigstore, changes...) }
	old := identityArgs("old.json", verifytest.Subject)
	// what belongs to a signature of the evil image by the identity that is trusted
	of := func(v *victim) *protobundle.VerificationMaterial {
		return verifytest.Parse(t, r.sigstore.Sign(t, signs(v.evil))).GetVerificationMaterial()
	}
	spliced := func(take func(from, to *protobundle.VerificationMaterial), changes ...func(*verifytest.Signing)) func(*victim) {
		return func(v *victim) {
			splice := material(func(m *protobundle.VerificationMaterial) { take(of(v), m) })
			v.attach(v.good, r.sigstore.Sign(t, signs(v.good), append(changes, splice)...))
		}
	}
	const optional = "version: 1\nrules: [{repository: REPO, trustedRoot: root.json, transparencyLog: optional, identities: [{issuer: '" +
		verifytest.Issuer + "', subject: '" + verifytest.Subject + "'}]}]\n"
	return []attack{
		{name: "good", prepare: ours(), want: "signed by identity " + verifytest.Subject},
		{name: "expired now, valid when it signed", prepare: ours(validFrom(-30*time.Minute), loggedAt(-25*time.Minute), unstamped), want: "verified"},
		{name: "timestamp alone, where the log is optional", prepare: ours(unlogged), policy: optional, want: "verified"},
		{name: "bad referrers in front of a good one", prepare: func(v *victim) {
			ours(unlogged)(v)
			by(r.unknown)(v)
			ours()(v)
		}, want: "verified"},
		{name: "authority nobody trusts", prepare: by(r.unknown), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "expired certificate", prepare: ours(validFrom(-30 * time.Minute)), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "expired certificate, stamped after", prepare: ours(validFrom(-30*time.Minute), loggedAt(-25*time.Minute)), code: exitNotTrusted, want: "leaf certificate"},
		{name: "certificate not valid yet", prepare: ours(validFrom(30 * time.Minute)), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "expired intermediate", prepare: by(r.expired), args: old, code: exitNotTrusted, want: "leaf certificate"},
		{name: "intermediate expired since", prepare: by(r.expired, validFrom(-49*time.Minute), loggedAt(-45*time.Minute), unstamped), args: old, want: "verified"},
		{name: "wrong issuer", prepare: ours(as(t, verifytest.Subject, verifytest.Issuer+".evil")), code: exitNotTrusted, want: "another identity: issuer is"},
		{name: "wrong subject", prepare: ours(as(t, verifytest.Subject+"-evil", verifytest.Issuer)), code: exitNotTrusted, want: "another identity: subject is"},
		{name: "subject that only contains the pattern", prepare: ours(as(t, "https://evil.example/?"+verifytest.SourceRepo+"/", verifytest.Issuer)), policy: "version: 1\nrules: [{repository: REPO, trustedRoot: root.json, identities: [{issuer: '" +
			verifytest.Issuer + "', subjectPattern: '^" + verifytest.SourceRepo + "/.*$'}]}]\n", code: exitNotTrusted, want: "does not match"},
		{name: "identity pattern unanchored", prepare: ours(), args: []string{
			"--trusted-root", "root.json", "--certificate-oidc-issuer", verifytest.Issuer, "--certificate-identity-regexp", verifytest.SourceRepo,
		}, code: exitUsage, want: "is not anchored"},
		{name: "identity pattern unanchored, in a policy", prepare: ours(), policy: "version: 1\nrules: [{repository: REPO, trustedRoot: root.json, identities: [{issuer: '" +
			verifytest.Issuer + "', subjectPattern: '" + verifytest.SourceRepo + ".*$'}]}]\n", code: exitFailed, want: "is not anchored"},
		{name: "missing log entry", prepare: ours(unlogged), code: exitNotTrusted, want: "no entry of a transparency log"},
		{name: "log entry of another artifact", prepare: spliced(func(from, to *protobundle.VerificationMaterial) {
			to.TlogEntries = from.TlogEntries
		}), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "log entry by another log", prepare: func(v *victim) {
			foreign := verifytest.Parse(t, r.unknown.Sign(t, signs(v.good))).GetVerificationMaterial().GetTlogEntries()
			ours(material(func(m *protobundle.VerificationMaterial) { m.TlogEntries = foreign }))(v)
		}, code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "log entry with another time", prepare: ours(validFrom(-30*time.Minute), unstamped, entry(func(e *protorekor.TransparencyLogEntry) {
			e.IntegratedTime -= 25 * 60
		})), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "missing timestamp and log entry", prepare: ours(unlogged, unstamped), policy: optional, code: exitNotTrusted, want: "nothing proves when it was signed"},
		{name: "timestamp of another signature", prepare: spliced(func(from, to *protobundle.VerificationMaterial) {
			to.TimestampVerificationData = from.TimestampVerificationData
		}, unlogged), policy: optional, code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "timestamp by another authority", prepare: ours(unlogged, material(func(m *protobundle.VerificationMaterial) {
			m.TimestampVerificationData = r.unknown.Stamp(t, []byte("x"))
		})), policy: optional, code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "missing inclusion proof", prepare: ours(entry(func(e *protorekor.TransparencyLogEntry) { e.InclusionProof = nil })), code: exitNotTrusted, want: "inclusion proof missing"},
		{name: "inclusion proof of another entry", prepare: spliced(func(from, to *protobundle.VerificationMaterial) {
			to.TlogEntries[0].InclusionProof = from.TlogEntries[0].InclusionProof
		}), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "inclusion promise of another entry", prepare: spliced(func(from, to *protobundle.VerificationMaterial) {
			to.TlogEntries[0].InclusionPromise = from.TlogEntries[0].InclusionPromise
		}), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "certificate of another signature", prepare: spliced(func(from, to *protobundle.VerificationMaterial) {
			to.Content = from.Content
		}), code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "signature of another image", prepare: func(v *victim) {
			v.attach(v.good, r.sigstore.Sign(t, signs(v.evil)))
		}, code: exitNotTrusted, want: "signs another image"},
		{name: "statement rewritten after signing", prepare: func(v *victim) {
			v.attach(v.good, r.sigstore.Sign(t, signs(v.evil), func(how *verifytest.Signing) { how.Change = rewritten(signs(v.good)) }))
		}, code: exitNotTrusted, want: "its proofs do not hold"},
		{name: "attestation in place of a signature", prepare: func(v *victim) {
			v.attach(v.good, r.sigstore.Sign(t, verifytest.Statement(v.good.Digest.String(), provenanceType)))
		}, code: exitNotTrusted, want: "is an attestation"},
		{name: "certificate where keys are trusted", prepare: ours(), args: byKey, code: exitNotTrusted, want: "signed with a certificate"},
		{name: "key where identities are trusted", prepare: func(v *victim) {
			v.attach(v.good, v.key.Sign(t, signs(v.good)))
		}, code: exitNotTrusted, want: "not signed by a trusted key"},
	}
}
