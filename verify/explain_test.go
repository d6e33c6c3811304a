// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// TestExplain: it says clause by clause what is missing, and in the end what Check
// says.
func TestExplain(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	a, b, other := newKey(t), newKey(t), newKey(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"a": a, "b": b, "c": other}}
	d := digestOf(newImage(t))
	both := []pull.Candidate{a.bundle(t, d), b.bundle(t, d)}
	for _, tt := range []struct {
		name, clauses string
		candidates    []pull.Candidate
		change        func(*pull.Image)
		unmet         string // the clauses that are not met
	}{
		{"trusted", "  keys: [a]\n", both[:1], nil, ""},
		{"all of it", "  keys: [a, b]\n  threshold: 2\n  allow: {types: [xdp], mapMemory: 64Mi}\n  forbid: {kfuncs: ['*']}\n", both, nil, ""},
		{"unsigned", "  keys: [a]\n", nil, nil, "signatures"},
		{"one of two", "  keys: [a, b]\n  threshold: 2\n", both[:1], nil, "signatures"},
		{
			"everything at once", "  keys: [c]\n  minimumVersion: 1.0.0\n  attestations: [{type: spdx}]\n  allow: {types: [tracing], hooks: [tc], mapMemory: 1Ki, licenses: gpl}\n  forbid: {helpers: [bpf_map_update_elem]}\n",
			both, nil, "signatures attestations minimumVersion allow.types allow.hooks allow.mapMemory forbid.helpers",
		},
		{"limits", "  keys: [a]\n  allow: {types: [tracing]}\n", both, nil, "allow.types"},
		{"altered", "  keys: [a]\n", both, func(img *pull.Image) { img.Objects[0].Bytes = []byte("x") }, "content"},
		{"keyless", ourIdentity, []pull.Candidate{s.keyless(t, d)}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = tt.candidates
			if tt.change != nil {
				tt.change(img)
			}
			policy := policyFor(t, files, tt.clauses)
			e, err := Explain(t.Context(), img, policy, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var missing []string
			for _, c := range e.Clauses {
				if !c.Met {
					missing = append(missing, c.Clause)
					if c.Found == "" || c.Want == "" {
						t.Errorf("says nothing of %+v", c)
					}
				}
			}
			if got := strings.Join(missing, " "); got != tt.unmet || e.Trusted != (tt.unmet == "") {
				t.Errorf("%q, trusted %v; want %q", got, e.Trusted, tt.unmet)
			}
			if _, err := Check(t.Context(), img, policy); (err == nil) != e.Trusted {
				t.Errorf("explained as trusted: %v, and Check says %v", e.Trusted, err)
			}
		})
	}
}

// TestExplainNoRule and what is denied.
func TestExplainNoRule(t *testing.T) {
	t.Parallel()
	img := newImage(t)
	policy := must[*Policy](t)(parsePolicy([]byte("version: 1\ndeny: {digests: ["+digestOf(img)+"]}\nrules: []\n"), "p.yaml", fakeFiles{}))
	e, err := Explain(t.Context(), img, policy, Options{})
	if err != nil || e.Trusted || e.Rule != "" || len(e.Clauses) != 2 || e.Clauses[0].Met || e.Clauses[1].Met {
		t.Errorf("%+v, %v", e, err)
	}
	if why := strings.Join(e.Reasons(), "\n"); !strings.Contains(why, "deny list") || !strings.Contains(why, "no rule of policy") {
		t.Error(why)
	}
}

// TestRecorded: what can be said of an instance whose image is gone.
func TestRecorded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sigstore := newGoodSigstore(t)
	past, future := now.Add(-time.Hour), now.Add(time.Hour).UTC().Format(time.RFC3339)
	ended := now.Add(-time.Minute).UTC().Format(time.RFC3339)
	byKey := func(ids ...string) (list []schemas.Signer) {
		for _, id := range ids {
			list = append(list, schemas.Signer{Kind: schemas.SignerKey, KeyID: id})
		}
		return list
	}
	identity := schemas.Signer{Kind: schemas.SignerIdentity, Issuer: "https://i", Subject: "s@x", Logged: true, TrustedRoot: sigstore.trusted.ID, CertificateKey: "k"}
	but := func(change func(*schemas.Signer), s schemas.Signer) schemas.Instance {
		change(&s)
		return schemas.Instance{Signers: []schemas.Signer{s}}
	}
	const isIdentity = "identities: [{issuer: 'https://i', subject: s@x}]"
	const two, one = "sha256:2222222222222222222222222222222222222222222222222222222222222222", "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	for _, tt := range []struct {
		name, policy string
		rec          schemas.Instance
		known        bool
		want         string
	}{
		{"signer trusted", "keys: [a]", schemas.Instance{Signers: byKey("a")}, true, ""},
		{"signer not trusted any more", "keys: [b]", schemas.Instance{Signers: byKey("a")}, true, "none of its signers is trusted there"},
		{"two of two", "keys: [a, b], threshold: 2", schemas.Instance{Signers: byKey("a", "b")}, true, ""},
		{"one of two, twice", "keys: [a, b], threshold: 2", schemas.Instance{Signers: byKey("a", "a")}, true, "signed by 1 of the 2"},
		{"denied key", "keys: [a, denied]", schemas.Instance{Signers: byKey("denied")}, true, "the key denied, is denied by the policy"},
		{"denied digest", "keys: [a]", schemas.Instance{Digest: one, Signers: byKey("a")}, true, "is on its deny list"},
		{"denied index", "keys: [a]", schemas.Instance{Digest: two, IndexDigest: one, Signers: byKey("a")}, true, "is on its deny list"},
		{"skipped", "keys: [a]", schemas.Instance{Unverified: true}, true, "verification was skipped"},
		{"key's time", "keys: [{file: a, notAfter: " + future + "}]", schemas.Instance{Signers: byKey("a")}, true, ""},
		{"key's time is over", "keys: [{file: a, notAfter: " + ended + "}]", schemas.Instance{Signers: byKey("a")}, true, "not trusted after"},
		{"key's time is over, signed before", "keys: [{file: a, notAfter: " + ended + "}]", schemas.Instance{Signers: []schemas.Signer{{Kind: schemas.SignerKey, KeyID: "a", SignedAt: &past, TrustedRoot: sigstore.trusted.ID}}}, true, ""},
		{"identity", "identities: [{issuer: 'https://i', subject: s@x}]", schemas.Instance{Signers: []schemas.Signer{identity}}, true, ""},
		{"other identity", "identities: [{issuer: 'https://i', subject: t@x}]", schemas.Instance{Signers: []schemas.Signer{identity}}, true, "none of its signers"},
		{"other issuer", "identities: [{issuer: 'https://j', subject: s@x}]", schemas.Instance{Signers: []schemas.Signer{identity}}, true, "none of its signers"},
		{"a key of the identity's name", "identities: [{issuer: 'https://i', subject: s@x}]", schemas.Instance{Signers: byKey("s@x")}, true, "none of its signers"},
		{"identity, judged by another trusted root", isIdentity, but(func(s *schemas.Signer) { s.TrustedRoot = two }, identity), false, ""},
		{"identity, and no log entry was looked for", isIdentity, but(func(s *schemas.Signer) { s.Logged = false }, identity), false, ""},
		{"identity, and no log entry is wanted", isIdentity + ", transparencyLog: optional", but(func(s *schemas.Signer) { s.Logged = false }, identity), true, ""},
		{"certificate for a denied key", isIdentity, but(func(s *schemas.Signer) { s.CertificateKey = "denied" }, identity), true, "the key denied, is denied by the policy"},
		{"log wanted, and not looked for", "keys: [a], transparencyLog: required", schemas.Instance{Signers: byKey("a")}, false, ""},
		{"log wanted, and there", "keys: [a], transparencyLog: required", but(func(s *schemas.Signer) { s.Kind, s.KeyID = schemas.SignerKey, "a" }, identity), true, ""},
		{"log wanted, of another trusted root", "keys: [a], transparencyLog: required", but(func(s *schemas.Signer) { s.Kind, s.KeyID, s.TrustedRoot = schemas.SignerKey, "a", two }, identity), false, ""},
		{"time wanted, and not looked for", "keys: [a], timestamp: required", schemas.Instance{Signers: byKey("a")}, false, ""},
		{"one of two, and perhaps the other", "keys: [a], threshold: 2, " + isIdentity, schemas.Instance{Signers: append(byKey("a"), but(func(s *schemas.Signer) { s.Logged = false }, identity).Signers...)}, false, ""},
		{"key's time is over, signed before by another trusted root", "keys: [{file: a, notAfter: " + ended + "}]", schemas.Instance{Signers: []schemas.Signer{{Kind: schemas.SignerKey, KeyID: "a", SignedAt: &past, TrustedRoot: two}}}, false, ""},
		{"denied object", "keys: [a]", schemas.Instance{Signers: byKey("a"), Objects: []string{two, one}}, true, "is on its deny list"},
		{"place", "keys: [a], allow: {hooks: ['xdp:eth0']}", schemas.Instance{Signers: byKey("a"), Links: []schemas.InstanceLink{{Program: "p", Hook: "xdp", Target: "eth1"}}}, true, `program "p" is attached to "xdp:eth1"`},
		{"allowed place", "keys: [a], allow: {hooks: ['xdp:eth0']}", schemas.Instance{Signers: byKey("a"), Links: []schemas.InstanceLink{{Program: "p", Hook: "xdp", Target: "eth0"}}}, false, ""},
		{"version", "keys: [a], minimumVersion: 1.2.0", schemas.Instance{Signers: byKey("a"), Version: "1.2.0"}, true, ""},
		{"lower version", "keys: [a], minimumVersion: 1.2.0", schemas.Instance{Signers: byKey("a"), Version: "1.1.0"}, true, `has version "1.1.0"`},
		{"helpers", "keys: [a], forbid: {helpers: [bpf_send_signal]}", schemas.Instance{Signers: byKey("a")}, false, ""},
		{"attestations", "keys: [a], attestations: [{type: spdx}]", schemas.Instance{Signers: byKey("a")}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := fmt.Sprintf("version: 1\ntrustedRoot: tr\ndeny: {keys: [denied], digests: [%q]}\nrules:\n- {repository: reg.io/x, %s}\n", one, tt.policy)
			policy := must[*Policy](t)(parsePolicy([]byte(text), "p.yaml", fakeFiles{trustedRoot: sigstore.trusted}))
			if tt.rec.Objects == nil {
				if known, _ := Recorded(tt.rec, "reg.io/x", policy, Options{Now: now}); known && tt.want == "" {
					t.Error("the objects may be on the deny list, and are not known")
				}
				tt.rec.Objects = []string{two}
			}
			known, err := Recorded(tt.rec, "reg.io/x", policy, Options{Now: now})
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (!errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want %q", err, tt.want)
			case err == nil && known != tt.known:
				t.Errorf("known %v, want %v", known, tt.known)
			}
			if _, err := Recorded(tt.rec, "reg.io/y", policy, Options{Now: now}); !errors.Is(err, ErrNotTrusted) {
				t.Errorf("another repository: %v", err)
			}
		})
	}
}

// TestLint: what is valid and may not be meant.
func TestLint(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ rule, want string }{
		{"keys: [a]", ""},
		{"keys: [a, b], threshold: 2", ""},
		{"keys: [a, b], threshold: 1", ""},
		{"keys: [a, b]", "any one of its 2 signers is enough"},
		{"keys: [a, denied], threshold: 1", "the key denied is on the deny list"},
		{"keys: [a, denied], threshold: 2", "nothing can ever meet it: of the 2 signers needed, 1 can sign"},
		{"keys: [{file: a, notAfter: 2026-06-20T00:00:00Z}], trustedRoot: tr", "the time of the key a ends on 2026-06-20"},
		{"keys: [{file: a, notAfter: 2027-06-20T00:00:00Z}], trustedRoot: tr", ""},
		{"keys: [{file: a, notAfter: 2027-06-20T00:00:00Z}]", "nothing proves when the key a signed"},
		{"keys: [{file: a, notAfter: 2026-05-20T00:00:00Z}], trustedRoot: tr", "the time of the key a has ended on 2026-05-20; nothing can ever meet it"},
		{"keys: [{file: a, notAfter: 2026-05-20T00:00:00Z}], trustedRoot: tr, timestamp: required", ""},
		{"trustedRoot: tr, identities: [{issuer: i, subjectPattern: '^https://git.example/x$'}]", "has a dot that stands for any character"},
		{`trustedRoot: tr, identities: [{issuer: i, subjectPattern: '^https://git\.example/.*/[^.]+$'}]`, ""},
		{"keys: [a], attestations: [{type: spdx, keys: [denied]}]", "attestation spdx: the key denied is on the deny list"},
	} {
		text := "version: 1\ndeny: {keys: [denied]}\nrules:\n- {repository: reg.io/x, " + tt.rule + "}\n"
		policy := must[*Policy](t)(parsePolicy([]byte(text), "p.yaml", fakeFiles{trustedRoot: newGoodSigstore(t).trusted}))
		got := strings.ReplaceAll(strings.Join(policy.Lint(now), "; "), "rule 1 (reg.io/x): ", "")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
	}
}
