// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// legacy puts a signature by the good key where cosign 2 does, as the last of n.
func (c *crowd) legacy(n int) {
	c.t.Helper()
	payload := verifytest.Payload(c.image.Digest.String())
	layer := c.blob(schemas.MediaTypeSimpleSigning, []byte(payload))
	var layers []ocispec.Descriptor
	for i := range n {
		by := c.other
		if i == n-1 {
			by = c.key
		}
		layer.Annotations = by.Legacy(c.t, payload)
		layers = append(layers, layer)
	}
	c.put("sha256-"+c.image.Digest.Encoded()+".sig", ocispec.Manifest{Config: c.blob(ocispec.MediaTypeImageConfig, []byte(`{}`)), Layers: layers})
}

// says attaches a statement with that predicate.
func (c *crowd) says(key *verifytest.Key, predicateType, predicate, annotated string) {
	c.t.Helper()
	statement := strings.Replace(verifytest.Statement(c.image.Digest.String(), predicateType), `"predicate":{}`, `"predicate":`+predicate, 1)
	c.attach(schemas.MediaTypeBundle, annotated, key.Sign(c.t, statement))
}

// policy is one rule for the image: with the keys good.pub and other.pub, and the
// trusted root root.json.
func (c *crowd) policy(sigstore *verifytest.Sigstore, text string) verify.Trust {
	c.t.Helper()
	dir := c.t.TempDir()
	for name, data := range map[string][]byte{
		"good.pub": c.key.PEM(c.t), "other.pub": c.other.PEM(c.t), "root.json": sigstore.TrustedRoot(c.t, verifytest.Trust{}),
		"policy.yaml": []byte("version: 1\ntrustedRoot: root.json\n" + strings.ReplaceAll(text, "RULE", "repository: registry.test/net/counter")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return verifytest.Must[*verify.Policy](c.t)(verify.LoadPolicy(filepath.Join(dir, "policy.yaml")))
}

// TestListsThatLie: neither the order of a list nor what it says of its entries hides
// what is good, or has a rule met that is not. Each row is decided alike on demand, as
// `bpfimg run` does, with everything fetched first, and when all is looked at.
func TestListsThatLie(t *testing.T) {
	t.Parallel()
	const sign = schemas.PredicateCosignSign
	sigstore := verifytest.NewGoodSigstore(t)
	keyless := func(c *crowd, predicate, annotated string) {
		c.attach(schemas.MediaTypeBundle, annotated, sigstore.Sign(t, verifytest.Statement(c.image.Digest.String(), predicate)))
	}
	identity := fmt.Sprintf("identities: [{issuer: %q, subject: %q}]", verifytest.Issuer, verifytest.Subject)
	for _, row := range []struct {
		name    string
		prepare func(c *crowd)
		policy  string // by the good key if ""
		refusal string // part of it; "" if trusted
	}{
		{"says that it is an attestation", func(c *crowd) {
			c.junk(99, schemas.MediaTypeBundle, sign)
			c.bundle(c.key, sign, provenance)
		}, "", ""},
		{"says that it is an SBOM", func(c *crowd) {
			c.junk(99, schemas.MediaTypeBundle, sign)
			c.attach("application/vnd.dev.sigstore.bundle+fake", "https://spdx.dev/Document", c.key.Sign(t, verifytest.Statement(c.image.Digest.String(), sign)))
		}, "", ""},
		{"cosign 2 has it, behind 200 that say that they are it", func(c *crowd) {
			c.junk(200, schemas.MediaTypeBundle, sign)
			c.legacy(8)
		}, "", ""},
		{"a bundle behind 64 of cosign 2", func(c *crowd) {
			c.legacy(64)
			c.bundle(c.other, sign, sign)
		}, "rules: [{RULE, keys: [other.pub]}]", ""},
		{"a demanded attestation that says that it is a signature", func(c *crowd) {
			c.bundle(c.key, sign, sign)
			c.junk(60, schemas.MediaTypeBundle, provenance)
			c.bundle(c.key, provenance, sign)
		}, "rules: [{RULE, keys: [good.pub], attestations: [{type: slsaprovenance1}]}]", ""},
		{"a signature that says that it is the demanded attestation", func(c *crowd) {
			c.bundle(c.key, sign, provenance)
			c.junk(60, schemas.MediaTypeBundle, provenance)
		}, "rules: [{RULE, keys: [good.pub], attestations: [{type: slsaprovenance1}]}]", "no valid attestation"},
		{"an attestation that says that it is a signature", func(c *crowd) { c.bundle(c.key, provenance, sign) }, "", "is an attestation"},
		{"an attestation of another type that says that it is of the demanded one", func(c *crowd) {
			c.bundle(c.key, sign, sign)
			c.bundle(c.key, "https://spdx.dev/Document", provenance)
		}, "rules: [{RULE, keys: [good.pub], attestations: [{type: slsaprovenance1}]}]", "no valid attestation"},
		{"attestations that a condition refuses in front of a good one", func(c *crowd) {
			c.bundle(c.key, sign, sign)
			for i := range 20 {
				c.says(c.key, provenance, fmt.Sprintf(`{"n":%d}`, i), provenance)
			}
			c.says(c.key, provenance, `{"n":99}`, "")
		}, "rules: [{RULE, keys: [good.pub], attestations: [{type: slsaprovenance1, condition: predicate.n == 99.0}]}]", ""},
		{"attestations that a condition refuses", func(c *crowd) {
			c.bundle(c.key, sign, sign)
			for i := range 20 {
				c.says(c.key, provenance, fmt.Sprintf(`{"n":%d}`, i), provenance)
			}
		}, "rules: [{RULE, keys: [good.pub], attestations: [{type: slsaprovenance1, condition: predicate.n == 99.0}]}]", "no valid attestation"},
		{"one who signed ten times, of two", func(c *crowd) {
			for i := range 10 {
				c.says(c.key, sign, fmt.Sprintf(`{"n":%d}`, i), sign)
			}
			c.legacy(1)
		}, "rules: [{RULE, keys: [good.pub, other.pub], threshold: 2}]", "signed by 1 of the 2 distinct signers"},
		{"one who signed ten times in front of another", func(c *crowd) {
			for i := range 10 {
				c.says(c.key, sign, fmt.Sprintf(`{"n":%d}`, i), sign)
			}
			c.bundle(c.other, sign, "https://spdx.dev/Document")
		}, "rules: [{RULE, keys: [good.pub, other.pub], threshold: 2}]", ""},
		{"one with a certificate, twice, of two", func(c *crowd) {
			keyless(c, sign, sign)
			keyless(c, sign, provenance)
		}, "rules: [{RULE, keys: [good.pub], threshold: 2, " + identity + "}]", "signed by 1 of the 2 distinct signers"},
		{"with a certificate, and an attestation, behind others", func(c *crowd) {
			c.junk(40, schemas.MediaTypeBundle, sign)
			keyless(c, sign, "")
			keyless(c, provenance, "https://spdx.dev/Document")
		}, "rules: [{RULE, " + identity + ", attestations: [{type: slsaprovenance1}]}]", ""},
		{"by a denied key, in front", func(c *crowd) {
			c.bundle(c.other, sign, sign)
			c.junk(2, schemas.MediaTypeBundle, sign)
		}, "deny: {keys: [other.pub]}\nrules: [{RULE, keys: [good.pub, other.pub]}]", "which is denied"},
		{"by a denied key and another, of two", func(c *crowd) {
			c.bundle(c.other, sign, sign)
			c.bundle(c.key, sign, sign)
		}, "deny: {keys: [other.pub]}\nrules: [{RULE, keys: [good.pub, other.pub], threshold: 2}]", "signed by 1 of the 2 distinct signers"},
		{"signed, and denied", func(c *crowd) { c.bundle(c.key, sign, sign) }, "deny: {digests: [IMAGE]}\nrules: [{RULE, keys: [good.pub]}]", "on its deny list"},
		{"signed, and too old", func(c *crowd) { c.bundle(c.key, sign, sign) }, "rules: [{RULE, keys: [good.pub], minimumVersion: 9.0.0}]", "9.0.0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t)
			row.prepare(c)
			trust := c.trust
			if row.policy != "" {
				trust = c.policy(sigstore, strings.ReplaceAll(row.policy, "IMAGE", c.image.Digest.String()))
			}
			for _, way := range []struct {
				name     string
				onDemand bool
				all      bool
			}{{"on demand", true, false}, {"first", false, false}, {"all", true, true}} {
				img := verifytest.Must[*pull.Image](t)(pull.Fetch(t.Context(), c.serve(nil), c.ref, pull.Options{OnDemand: way.onDemand}))
				_, err := verify.CheckWith(t.Context(), img, trust, verify.Options{All: way.all})
				img.Enough()
				switch {
				case row.refusal == "" && err != nil:
					t.Errorf("%s: %v", way.name, err)
				case row.refusal != "" && (!errors.Is(err, verify.ErrNotTrusted) || !strings.Contains(err.Error(), row.refusal)):
					t.Errorf("%s: no %q in %v", way.name, row.refusal, err)
				}
			}
		})
	}
}

// TestDamagedCopyHidesNothing: what the store has of a signature, and is damaged, does
// not stand for what the registry has.
func TestDamagedCopyHidesNothing(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.bundle(c.key, schemas.PredicateCosignSign, schemas.PredicateCosignSign)
	dir := t.TempDir()
	store := verifytest.Must[*image.Store](t)(image.OpenStore(dir))
	verifytest.Must[ocispec.Descriptor](t)(image.Copy(t.Context(), store, c.ref, c.src, c.ref, image.CopyOptions{Referrers: true}))
	file := filepath.Join(dir, "blobs", "sha256", c.latest.Encoded())
	for name, damage := range map[string]func() error{
		"altered": func() error { return os.WriteFile(file, []byte("{}"), 0o600) },
		"gone":    func() error { return os.Remove(file) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		src := &pull.Cached{Local: store, Remote: c.serve(nil)}
		img := verifytest.Must[*pull.Image](t)(pull.Fetch(t.Context(), src, c.ref, pull.Options{OnDemand: true, First: store}))
		if _, err := verify.Check(t.Context(), img, c.trust); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		img.Enough()
	}
}

// TestSlowImageIsNoLateSignature: the time for the search does not run out while the
// image itself arrives.
func TestSlowImageIsNoLateSignature(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		c.junk(1, schemas.MediaTypeBundle, schemas.PredicateCosignSign)
		c.legacy(1) // which is not asked for before that has been looked at
		slow := testregistry.Fault{Method: http.MethodGet, Path: "/blobs/", Times: 3, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			time.Sleep(20 * time.Second) // of the bubble
			next.ServeHTTP(w, r)
		}}
		img, err := pull.Fetch(t.Context(), c.serve(nil, slow), c.ref, pull.Options{OnDemand: true, CandidateTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer img.Enough()
		if _, err := verify.Check(t.Context(), img, c.trust); err != nil {
			t.Error(err)
		}
	})
}

// TestAskLessOfAPolicy: whatever a rule demands is found with few requests among 22
// attestations of another type.
func TestAskLessOfAPolicy(t *testing.T) {
	t.Parallel()
	const sign = schemas.PredicateCosignSign
	sigstore := verifytest.NewGoodSigstore(t)
	identity := fmt.Sprintf("identities: [{issuer: %q, subject: %q}]", verifytest.Issuer, verifytest.Subject)
	for _, row := range []struct{ name, policy string }{
		{"key", "rules: [{RULE, keys: [good.pub]}]"},
		{"identity", "rules: [{RULE, " + identity + "}]"},
		{"two keys and an identity", "rules: [{RULE, keys: [good.pub, other.pub], threshold: 3, " + identity + "}]"},
		{"attestation", "rules: [{RULE, keys: [good.pub], attestations: [{type: slsaprovenance1}]}]"},
		{"two attestations, one by another", "rules: [{RULE, keys: [good.pub], attestations: [{type: slsaprovenance1}, {type: vuln, keys: [other.pub]}]}]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t)
			c.junk(22, schemas.MediaTypeBundle, "https://spdx.dev/Document")
			c.bundle(c.key, sign, sign)
			c.bundle(c.other, sign, sign)
			c.attach(schemas.MediaTypeBundle, sign, sigstore.Sign(t, verifytest.Statement(c.image.Digest.String(), sign)))
			c.bundle(c.key, provenance, provenance)
			const vuln = "https://cosign.sigstore.dev/attestation/vuln/v1"
			c.bundle(c.other, vuln, vuln)
			v, err := c.check(c.serve(nil), c.policy(sigstore, row.policy))
			if err != nil {
				t.Fatal(err)
			}
			// All that count are these five; the first three are fetched before it is known
			// which of them are wanted.
			if n, looked := c.requests(), v.Seen().Looked; n > 4+2*looked || looked > 5 {
				t.Errorf("%d requests, %+v: %+v", n, v.Seen(), c.recorder.Calls())
			}
		})
	}
}

// reluctant ends a read of one blob only a while after it was told to.
type reluctant struct {
	image.Source
	blob  string
	ended bool
}

func (r *reluctant) Blob(ctx context.Context, ref image.Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if desc.Digest.String() != r.blob {
		return r.Source.Blob(ctx, ref, desc, limit)
	}
	<-ctx.Done()
	time.Sleep(time.Second) // of the bubble
	r.ended = true
	return nil, ctx.Err()
}

// TestEnoughIsOver: nothing is read any more when a search has ended, so that what is
// recorded then of what was left is whole.
func TestEnoughIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(t)
		c.bundle(c.key, schemas.PredicateCosignSign, schemas.PredicateCosignSign)
		src := &reluctant{Source: c.serve(nil), blob: c.latest.String()}
		img := verifytest.Must[*pull.Image](t)(pull.Fetch(t.Context(), src, c.ref, pull.Options{OnDemand: true}))
		synctest.Wait()
		if img.Enough(); !src.ended {
			t.Error("a candidate is still being read")
		}
	})
}
