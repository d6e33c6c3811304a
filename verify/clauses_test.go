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
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
)

// policyFor parses a policy with one rule for the repository of [newImage];
// clauses are YAML, indented by two.
func policyFor(t testing.TB, files fakeFiles, clauses string) *Policy {
	t.Helper()
	text := "version: 1\ntrustedRoot: tr.json\nrules:\n- repository: reg.example/net/*\n" + clauses
	if files.trustedRoot == nil {
		text = strings.Replace(text, "trustedRoot: tr.json\n", "", 1)
	}
	return must[*Policy](t)(parsePolicy([]byte(text), "p.yaml", files))
}

const ourIdentity = `  identities: [{issuer: "` + testIssuer + `", subject: "` + testSubject + `"}]` + "\n"

// TestThreshold: distinct signers are counted, not signatures.
func TestThreshold(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	a, b, c := newKey(t), newKey(t), newKey(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"a": a, "b": b, "c": c, "a2": a}}
	pattern := func(text string) string { return `{issuer: "` + testIssuer + `", subjectPattern: "` + text + `"}` }
	anyOfThem, acme := pattern(`^https://git\\.example/.*$`), pattern(`^https://git\\.example/acme/.*$`)
	patterns := "  identities: [" + anyOfThem + ", " + acme + "]\n"
	reversed := "  identities: [" + acme + ", " + anyOfThem + "]\n"
	d := digestOf(newImage(t))
	by := func(subject string) pull.Candidate {
		return s.keyless(t, d, func(how *signing) { how.Template = verifytest.Certificate(t, subject, testIssuer) })
	}
	another := func(how *signing) { how.Template = verifytest.Certificate(t, "https://git.example/acme/y", testIssuer) }
	// Of both patterns, and of the first alone: who takes the first entry that
	// fits leaves none to the other.
	x, y := by("https://git.example/acme/x"), by("https://git.example/other/y")
	for _, tt := range []struct {
		name, clauses string
		candidates    []pull.Candidate
		want          string
	}{
		{"two of three", "  keys: [a, b, c]\n  threshold: 2\n", []pull.Candidate{a.bundle(t, d), c.legacy(t, payloadOf(d))}, ""},
		{"one of three", "  keys: [a, b, c]\n  threshold: 2\n", []pull.Candidate{a.bundle(t, d), newKey(t).bundle(t, d)}, "signed by 1 of the 2 distinct signers"},
		{"one twice", "  keys: [a, b, c]\n  threshold: 2\n", []pull.Candidate{a.bundle(t, d), a.bundle(t, d), a.legacy(t, payloadOf(d))}, "signed by 1 of the 2"},
		{"one under two names", "  keys: [a, a2, b]\n  threshold: 2\n", []pull.Candidate{a.bundle(t, d), a.bundle(t, d)}, "signed by 1 of the 2"},
		{"none", "  keys: [a, b]\n  threshold: 2\n", []pull.Candidate{newKey(t).bundle(t, d)}, "no valid signature"},
		{"key and identity", "  keys: [a]\n" + ourIdentity + "  threshold: 2\n", []pull.Candidate{a.bundle(t, d), s.keyless(t, d)}, ""},
		{"identity twice", "  keys: [a]\n" + ourIdentity + "  threshold: 2\n", []pull.Candidate{s.keyless(t, d), s.keyless(t, d)}, "signed by 1 of the 2"},
		{"one identity that is two entries", patterns + "  threshold: 2\n", []pull.Candidate{s.keyless(t, d), s.keyless(t, d)}, "signed by 1 of the 2"},
		{"two identities that are two entries", patterns + "  threshold: 2\n", []pull.Candidate{s.keyless(t, d), s.keyless(t, d, another)}, ""},
		{"two identities, one of them two entries", patterns + "  threshold: 2\n", []pull.Candidate{x, y}, ""},
		{"two identities, the second two entries", patterns + "  threshold: 2\n", []pull.Candidate{y, x}, ""},
		{"two identities, one of them two entries, reversed", reversed + "  threshold: 2\n", []pull.Candidate{x, y}, ""},
		{"two identities, the second two entries, reversed", reversed + "  threshold: 2\n", []pull.Candidate{y, x}, ""},
		{"two identities, neither of the second entry", patterns + "  threshold: 2\n", []pull.Candidate{y, by("https://git.example/other/z")}, "signed by 1 of the 2"},
		{"two identities that are one entry", "  keys: [a]\n" + strings.Replace(patterns, "]\n", "]\n  threshold: 2\n", 1), []pull.Candidate{s.keyless(t, d), s.keyless(t, d, another)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = tt.candidates
			v, err := Check(t.Context(), img, policyFor(t, files, tt.clauses))
			checkDecision(t, img, v, err, tt.want)
		})
	}
}

// checkDecision is [checkOutcome] for images with several signers.
func checkDecision(t *testing.T, img *pull.Image, v *Verified, err error, want string) {
	t.Helper()
	report := NewReport(img, v, err)
	if want == "" {
		if err != nil || !report.Trusted {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	if v != nil || !errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want ErrNotTrusted with %q", err, want)
	}
	if report.Trusted || report.Reason == "" {
		t.Errorf("report %+v", report)
	}
}

// TestKeyTimes: when a key may sign, judged by what proves when it did.
func TestKeyTimes(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	key := newKey(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"k": key}}
	d := digestOf(newImage(t))
	at := func(offset time.Duration) string { return time.Now().Add(offset).UTC().Format(time.RFC3339) }
	bounded := func(bounds string, more ...string) string {
		return "  keys: [{file: k, " + bounds + "}]\n" + strings.Join(more, "")
	}
	logged := func(ago time.Duration) pull.Candidate {
		return key.bundle(t, d, s.logKeyBundle(t, key, time.Now().Add(-ago)))
	}
	after := bounded("notAfter: " + at(-20*time.Minute))
	for _, tt := range []struct {
		name, clauses string
		candidate     pull.Candidate
		want          string
	}{
		{"within", bounded("notBefore: " + at(-time.Hour) + ", notAfter: " + at(time.Hour)), key.bundle(t, d), ""},
		{"too late", after, key.bundle(t, d), "not trusted after"},
		{"too early", bounded("notBefore: " + at(time.Hour)), key.bundle(t, d), "not trusted before"},
		{"too late now, logged in time", after, logged(30 * time.Minute), ""},
		{"logged too late", after, logged(10 * time.Minute), "not trusted after"},
		{"logged too early", bounded("notBefore: " + at(-20*time.Minute)), logged(30 * time.Minute), "not trusted before"},
		{"stamped too late", after, key.bundle(t, d, s.stampBundle(t)), "not trusted after"},
		{"logged in time, stamped too late", after, key.bundle(t, d, s.logKeyBundle(t, key, time.Now().Add(-30*time.Minute)), s.stampBundle(t)), "not trusted after"},
		{"log entry of another", after, key.bundle(t, d, func(b *protobundle.Bundle) {
			b.VerificationMaterial.TlogEntries = materialOf(t, key.bundle(t, someOther, s.logKeyBundle(t, key, time.Now().Add(-30*time.Minute))).Bundle).TlogEntries
		}), "nothing proves when it signed"},
		{"log required", bounded("notAfter: "+at(time.Hour), "  transparencyLog: required\n"), key.bundle(t, d), "no entry of a transparency log"},
		{"log required and there", "  keys: [k]\n  transparencyLog: required\n", logged(0), ""},
		{"log required, entry by another key", "  keys: [k]\n  transparencyLog: required\n", key.bundle(t, d, s.logKeyBundle(t, newKey(t), time.Now())), "its proofs do not hold"},
		{"log required, timestamp only", "  keys: [k]\n  transparencyLog: required\n", key.bundle(t, d, s.stampBundle(t)), "no entry of a transparency log"},
		{"timestamp required", "  keys: [k]\n  timestamp: required\n", key.bundle(t, d), "nothing proves when"},
		{"timestamp required and there", "  keys: [k]\n  timestamp: required\n", key.bundle(t, d, s.stampBundle(t)), ""},
		{"timestamp required, log has it", "  keys: [k]\n  timestamp: required\n", logged(0), ""},
		{"timestamp required, of another", "  keys: [k]\n  timestamp: required\n", key.bundle(t, d, func(b *protobundle.Bundle) {
			b.VerificationMaterial.TimestampVerificationData = s.Stamp(t, []byte("another"))
		}), "its proofs do not hold"},
		{"log required, legacy without", "  keys: [k]\n  transparencyLog: required\n", key.legacy(t, payloadOf(d)), "no entry of a transparency log"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = []pull.Candidate{tt.candidate}
			v, err := Check(t.Context(), img, policyFor(t, files, tt.clauses))
			checkDecision(t, img, v, err, tt.want)
		})
	}
	// The clock decides only where nothing else does.
	img := newImage(t)
	img.Candidates = []pull.Candidate{key.bundle(t, d)}
	if _, err := CheckWith(t.Context(), img, policyFor(t, files, after), Options{Now: time.Now().Add(-time.Hour)}); err != nil {
		t.Errorf("an hour ago: %v", err)
	}
}

// TestDeny: what is revoked is refused whatever else is right.
func TestDeny(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	a, b := newKey(t), newKey(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"a": a, "b": b}}
	img := newImage(t)
	underIndex(t, img, img.Manifest.Descriptor.Digest)
	index := img.Root.Descriptor.Digest.String()
	policy := func(deny, rules string) string { return "version: 1\ndeny: {" + deny + "}\nrules: [" + rules + "]\n" }
	ours := "{repository: reg.example/net/*, keys: [a, b]}"
	for _, tt := range []struct {
		name, policy string
		candidates   []pull.Candidate
		want         string
	}{
		{"nothing of it", policy("digests: ["+someOther+"]", ours), []pull.Candidate{a.bundle(t, index)}, ""},
		{"index", policy("digests: ["+index+"]", ours), []pull.Candidate{a.bundle(t, index)}, "denied by the policy: the index"},
		{"image", policy("digests: ["+digestOf(img)+"]", ours), []pull.Candidate{a.bundle(t, index)}, "denied by the policy: the image"},
		{"object", policy("digests: ["+img.Objects[0].Digest+"]", ours), []pull.Candidate{a.bundle(t, index)}, "denied by the policy: the object"},
		{"image without a rule", policy("digests: ["+digestOf(img)+"]", ""), nil, "denied by the policy: the image"},
		{"key", policy("keys: [a]", ours), []pull.Candidate{a.bundle(t, index)}, "which is denied by the policy"},
		{"key, legacy", policy("keys: [a]", ours), []pull.Candidate{a.legacy(t, payloadOf(index))}, "which is denied by the policy"},
		{"key, another signed too", policy("keys: [a]", ours), []pull.Candidate{a.bundle(t, index), b.bundle(t, index)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := parsePolicy([]byte(tt.policy), "p.yaml", files)
			if err != nil {
				t.Fatal(err)
			}
			img.Candidates = tt.candidates
			v, err := Check(t.Context(), img, p)
			checkDecision(t, img, v, err, tt.want)
		})
	}
	// By itself, and signed by itself, it does not say that it was in that index.
	alone := newImage(t)
	alone.Candidates = []pull.Candidate{a.bundle(t, digestOf(alone))}
	for denied, want := range map[string]string{index: "", digestOf(alone): "denied by the policy: the image"} {
		p := must[*Policy](t)(parsePolicy([]byte(policy("digests: ["+denied+"]", ours)), "p.yaml", files))
		v, err := Check(t.Context(), alone, p)
		checkDecision(t, alone, v, err, want)
	}
}

const slsa1 = "https://slsa.dev/provenance/v1"

// attested is a statement of a kind about d.
func attested(d, kind, predicate string) string {
	return fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`,
		statementType, digest.Digest(d).Encoded(), kind, predicate)
}

// TestAttestations: what must be said about an image, by whom, and that it is
// never a signature.
func TestAttestations(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	key, builder := newKey(t), newKey(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"k": key, "builder": builder}}
	d := digestOf(newImage(t))
	attest := func(by *testKey, statement string) pull.Candidate {
		return candidateOf(by.envelope(t, inToto, statement))
	}
	const good = `{"buildDefinition":{"buildType":"x","n":3},"list":[1,2,3]}`
	demand := func(clauses string) string { return "  keys: [k]\n  attestations: [{" + clauses + "}]\n" }
	large := `{"x":"` + strings.Repeat("y", maxBundle) + `"}`
	for _, tt := range []struct {
		name, clauses string
		attestation   pull.Candidate
		want          string
	}{
		{"there", demand("type: slsaprovenance1"), attest(key, attested(d, slsa1, good)), ""},
		{"by URI", demand("type: 'https://example.com/p'"), attest(key, attested(d, "https://example.com/p", `{}`)), ""},
		{"what attest calls custom", demand("type: custom"), attest(key, attested(d, "https://cosign.sigstore.dev/attestation/v1", `{}`)), ""},
		{"older statement", demand("type: slsaprovenance1"), attest(key, strings.Replace(attested(d, slsa1, good), "Statement/v1", "Statement/v0.1", 1)), ""},
		{"statement nobody knows", demand("type: slsaprovenance1"), attest(key, strings.Replace(attested(d, slsa1, good), "Statement/v1", "Statement/v9", 1)), "no valid attestation slsaprovenance1"},
		{"none", demand("type: slsaprovenance1"), pull.Candidate{Kind: "new"}, "no valid attestation slsaprovenance1"},
		{"of another type", demand("type: spdx"), attest(key, attested(d, slsa1, good)), "no valid attestation spdx"},
		{"about another image", demand("type: slsaprovenance1"), attest(key, attested(someOther, slsa1, good)), "signs another image"},
		{"by a stranger", demand("type: slsaprovenance1"), attest(newKey(t), attested(d, slsa1, good)), "not signed by a trusted key"},
		{"rewritten", demand("type: slsaprovenance1"), candidateOf(key.envelope(t, inToto, attested(d, slsa1, good), func(b *protobundle.Bundle) {
			b.GetDsseEnvelope().Payload = []byte(attested(d, slsa1, `{"better":true}`))
		})), "changed after it was signed"},
		{"by the builder", demand("type: slsaprovenance1, keys: [builder]"), attest(builder, attested(d, slsa1, good)), ""},
		{"not by the builder", demand("type: slsaprovenance1, keys: [builder]"), attest(key, attested(d, slsa1, good)), "not signed by a trusted key"},
		{"by an identity", demand("type: slsaprovenance1, identities: [{issuer: '" + testIssuer + "', subject: '" + testSubject + "'}]"), candidateOf(s.Sign(t, attested(d, slsa1, good))), ""},
		{"condition", demand(`type: slsaprovenance1, condition: 'predicate.buildDefinition.buildType == "x" && predicate.buildDefinition.n == 3 && predicate.list.all(n, n < 4)'`), attest(key, attested(d, slsa1, good)), ""},
		{"condition on the rest", demand(`type: slsaprovenance1, condition: 'image.repository == "reg.example/net/xdp-counter" && "sha256:" + subject[0].digest.sha256 == image.digest && image.version == ""'`), attest(key, attested(d, slsa1, good)), ""},
		{"condition false", demand(`type: slsaprovenance1, condition: 'predicate.buildDefinition.n > 3'`), attest(key, attested(d, slsa1, good)), "is false"},
		{"condition on what is not there", demand(`type: slsaprovenance1, condition: 'predicate.builder.id == "x"'`), attest(key, attested(d, slsa1, good)), "cannot be evaluated: no such key"},
		{"condition that is no bool", demand(`type: slsaprovenance1, condition: 'predicate.list'`), attest(key, attested(d, slsa1, good)), "neither true nor false"},
		{"condition without end", demand(`type: slsaprovenance1, condition: 'predicate.l.all(a, predicate.l.all(b, predicate.l.all(c, a+b+c >= 0)))'`), attest(key, attested(d, slsa1, `{"l":[`+strings.Repeat("1,", 2000)+`1]}`)), "cost limit"},
		{"predicate with a key twice", demand(`type: slsaprovenance1, condition: 'true'`), attest(key, attested(d, slsa1, `{"a":1,"a":2}`)), "cannot be read"},
		{"predicate that is no object", demand(`type: slsaprovenance1, condition: 'true'`), attest(key, attested(d, slsa1, `[]`)), "cannot be read"},
		{"large", demand("type: slsaprovenance1"), attest(key, attested(d, slsa1, large)), ""},
		{"too large", demand("type: slsaprovenance1"), attest(key, attested(d, slsa1, `{"x":"`+strings.Repeat("y", maxAttestation)+`"}`)), "over the limit"},
		{"signature in its place", demand("type: slsaprovenance1"), key.bundle(t, d), "no valid attestation"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = []pull.Candidate{tt.attestation, key.bundle(t, d)}
			v, err := Check(t.Context(), img, policyFor(t, files, tt.clauses))
			checkDecision(t, img, v, err, tt.want)
			// The attestation alone is never enough, whatever is right about it.
			img.Candidates = img.Candidates[:1]
			if tt.name == "signature in its place" {
				return
			}
			v, err = Check(t.Context(), img, policyFor(t, files, tt.clauses))
			checkDecision(t, img, v, err, "it has no valid signature")
		})
	}
}

// TestPinnedRepository: a key trusted elsewhere is not trusted here, and names
// that look alike are not alike.
func TestPinnedRepository(t *testing.T) {
	t.Parallel()
	a, b := newKey(t), newKey(t)
	files := fakeFiles{keys: map[string]*testKey{"a": a, "b": b}}
	for name, repository := range map[string]string{
		"another repository": "reg.example/other/xdp-counter",
		"looks alike":        "reg.example/ne/*",
		"longer":             "reg.example/net/xdp-counter-evil",
		"below":              "reg.example/net/xdp-counter/*",
		"another registry":   "reg.example:443/net/xdp-counter",
	} {
		p, err := parsePolicy([]byte("version: 1\nrules: [{repository: '"+repository+"', keys: [a]}]\n"), "p.yaml", files)
		if err != nil {
			t.Fatal(err)
		}
		img := newImage(t)
		img.Candidates = []pull.Candidate{a.bundle(t, digestOf(img))}
		if v, err := Check(t.Context(), img, p); v != nil || !errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), "no rule of policy p.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
	p, err := parsePolicy([]byte("version: 1\nrules: [{repository: reg.example/net/*, keys: [a]}, {repository: reg.example/net/xdp-counter, keys: [b]}]\n"), "p.yaml", files)
	if err != nil {
		t.Fatal(err)
	}
	img := newImage(t)
	img.Candidates = []pull.Candidate{a.bundle(t, digestOf(img))}
	v, err := Check(t.Context(), img, p)
	checkDecision(t, img, v, err, "not signed by a trusted key")
	var refused *NotTrustedError
	if !errors.As(err, &refused) || refused.Rule != "rule 2 (reg.example/net/xdp-counter) of policy p.yaml" {
		t.Errorf("%+v", refused)
	}
}
