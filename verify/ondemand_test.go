// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bpfbuild "github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	provenance = "https://slsa.dev/provenance/v1"
	// annotationPredicate is what cosign 3 says in the list (sigstore/cosign,
	// specs/BUNDLE_SPEC.md).
	annotationPredicate = "dev.sigstore.bundle.predicateType"
	notaryType          = "application/vnd.cncf.notary.signature"
)

// crowd is a registry with an image to which much is attached.
type crowd struct {
	t        *testing.T
	registry http.Handler
	src      *image.Registry
	ref      image.Reference
	image    ocispec.Descriptor
	key      *verifytest.Key
	other    *verifytest.Key
	trust    verify.Trust
	n        int
	latest   digest.Digest // what was attached last
	recorder *testregistry.Recorder
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	registry := verifytest.Must[*testregistry.Registry](t)(testregistry.New(testregistry.Options{AcceptIncomplete: true}))
	c := &crowd{t: t, registry: registry, key: verifytest.NewKey(t), other: verifytest.NewKey(t), recorder: &testregistry.Recorder{}}
	c.ref = verifytest.Must[image.Reference](t)(image.ParseReference("registry.test/net/counter:v1"))
	c.src = c.client(registry)
	object := verifytest.Must[[]byte](t)(os.ReadFile("../examples/xdp-counter/counter.bpf.o"))
	built := verifytest.Must[bpfbuild.Result](t)(bpfbuild.Build(t.Context(), c.src, c.ref,
		[]bpfbuild.Input{{Name: "counter.bpf.o", Bytes: object}}, bpfbuild.Options{Platform: "linux/amd64"}))
	c.image = built.Manifest.Descriptor
	c.trust = trusts(t, c.key)
	return c
}

func trusts(t *testing.T, key *verifytest.Key) verify.Trust {
	t.Helper()
	return verify.Keys{verifytest.Must[verify.Key](t)(verify.ParseKey(key.PEM(t), "test.pub"))}
}

// client has neither credentials nor patience.
func (c *crowd) client(h http.Handler) *image.Registry {
	c.t.Helper()
	return verifytest.Must[*image.Registry](c.t)(image.NewRegistry(image.RegistryOptions{
		Keychain: authn.NewMultiKeychain(), Transport: testregistry.InProcess(h), Retry: image.Retry{Attempts: 1},
	}))
}

func (c *crowd) blob(mediaType string, data []byte) ocispec.Descriptor {
	c.t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	if err := c.src.PutBlob(c.t.Context(), c.ref, desc, data, ""); err != nil {
		c.t.Fatal(err)
	}
	return desc
}

// put pushes a manifest; at its digest when tag is "".
func (c *crowd) put(tag string, m ocispec.Manifest) ocispec.Descriptor {
	c.t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	data := verifytest.Must[[]byte](c.t)(json.Marshal(m))
	desc := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	at := c.ref.WithDigest(desc.Digest.String())
	if tag != "" {
		at = c.ref.WithTag(tag)
	}
	if err := c.src.PutManifest(c.t.Context(), at, image.Manifest{Descriptor: desc, Bytes: data}); err != nil {
		c.t.Fatal(err)
	}
	return desc
}

// attach makes a referrer with one layer, annotated as being of that predicate.
func (c *crowd) attach(artifactType, predicate string, content []byte) ocispec.Descriptor {
	c.t.Helper()
	c.latest = digest.FromBytes(content)
	m := ocispec.Manifest{
		ArtifactType: artifactType, Subject: &c.image,
		Config: c.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{c.blob(artifactType, content)},
	}
	if predicate != "" {
		m.Annotations = map[string]string{annotationPredicate: predicate}
	}
	return c.put("", m)
}

// bundle attaches a statement of that predicate type, signed by key, and nothing
// like it twice.
func (c *crowd) bundle(key *verifytest.Key, predicate, annotated string) ocispec.Descriptor {
	c.t.Helper()
	return c.attach(schemas.MediaTypeBundle, annotated, key.Sign(c.t, verifytest.Statement(c.image.Digest.String(), predicate)))
}

// junk attaches n referrers that are told apart by their content.
func (c *crowd) junk(n int, artifactType, predicate string) {
	c.t.Helper()
	for range n {
		c.n++
		c.attach(artifactType, predicate, []byte(fmt.Sprintf(`{"junk":%d}`, c.n)))
	}
}

// serve counts what the registry is asked from here on, and has its list changed.
func (c *crowd) serve(change func([]ocispec.Descriptor) []ocispec.Descriptor, faults ...testregistry.Fault) image.Source {
	c.t.Helper()
	h := c.registry
	if change != nil {
		list := verifytest.Must[[]ocispec.Descriptor](c.t)(c.src.Referrers(c.t.Context(), c.ref.WithDigest(c.image.Digest.String())))
		body := verifytest.Must[[]byte](c.t)(json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: change(list)}))
		h = testregistry.Fault{Path: "/referrers/", Do: testregistry.Replace(body)}.Wrap(h)
	}
	for _, f := range faults {
		h = f.Wrap(h)
	}
	return c.client(c.recorder.Wrap(h))
}

// check fetches and verifies as `bpfimg run` does.
func (c *crowd) check(src image.Source, trust verify.Trust) (*verify.Verified, error) {
	c.t.Helper()
	img, err := pull.Fetch(c.t.Context(), src, c.ref, pull.Options{OnDemand: true})
	if err != nil {
		c.t.Fatal(err)
	}
	defer img.Enough()
	return verify.Check(c.t.Context(), img, trust)
}

// requests are those about the image: not the one that only asks who is there.
func (c *crowd) requests() int {
	return len(slices.DeleteFunc(c.recorder.Calls(), func(call testregistry.Call) bool { return call.Path == "/v2/" }))
}

// by puts those first in a list that are of that predicate.
func by(predicate string, first bool) func([]ocispec.Descriptor) []ocispec.Descriptor {
	return func(list []ocispec.Descriptor) []ocispec.Descriptor {
		slices.SortStableFunc(list, func(a, b ocispec.Descriptor) int {
			is := func(d ocispec.Descriptor) int {
				if (d.Annotations[annotationPredicate] == predicate) == first {
					return 0
				}
				return 1
			}
			return is(a) - is(b)
		})
		return list
	}
}

// bare leaves out of a list all but what names the entries, as old fallback indexes
// and some registries do.
func bare(list []ocispec.Descriptor) []ocispec.Descriptor {
	for i, d := range list {
		list[i] = ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
	}
	return list
}

// TestAskLess: what an image is signed with is found among much else, whatever the
// order of the list, for a bounded number of requests.
func TestAskLess(t *testing.T) {
	t.Parallel()
	sign := schemas.PredicateCosignSign
	attestations := func(n int) func(c *crowd) {
		return func(c *crowd) {
			c.junk(n, schemas.MediaTypeBundle, provenance)
			c.bundle(c.key, sign, sign)
		}
	}
	crowded := func(c *crowd) {
		c.junk(200, schemas.MediaTypeBundle, provenance)
		c.junk(99, schemas.MediaTypeBundle, sign)
		c.bundle(c.key, sign, sign)
	}
	// last leaves the order to the registry, but for the good one.
	last := func(list []ocispec.Descriptor) []ocispec.Descriptor {
		i := slices.IndexFunc(list, func(d ocispec.Descriptor) bool { return d.Size != list[0].Size })
		return append(slices.Delete(slices.Clone(list), i, i+1), list[i])
	}
	for _, row := range []struct {
		name    string
		prepare func(c *crowd)
		change  func([]ocispec.Descriptor) []ocispec.Descriptor
		most    int // requests in all; 0 for four more than two a candidate
	}{
		{"signature alone", attestations(0), nil, 6},
		{"22 attestations", attestations(22), nil, 6},
		{"22 attestations, nothing said in the list", attestations(22), bare, 5 + 2*23}, // the tag of cosign 2 as well
		{"64 SBOMs", func(c *crowd) {
			c.junk(64, "application/spdx+json", "")
			c.bundle(c.key, sign, "")
		}, nil, 7}, // and here
		{"64 SBOMs, nothing said in the list", func(c *crowd) {
			c.junk(64, "application/spdx+json", "")
			c.bundle(c.key, sign, sign)
		}, bare, 0},
		{"signature of cosign 2 behind 64 SBOMs and 22 attestations", func(c *crowd) {
			c.junk(64, "application/spdx+json", "")
			c.junk(22, schemas.MediaTypeBundle, provenance)
			payload := verifytest.Payload(c.image.Digest.String())
			layer := c.blob(schemas.MediaTypeSimpleSigning, []byte(payload))
			layer.Annotations = c.key.Legacy(c.t, payload)
			c.put("sha256-"+c.image.Digest.Encoded()+".sig", ocispec.Manifest{
				Config: c.blob(ocispec.MediaTypeImageConfig, []byte(`{}`)), Layers: []ocispec.Descriptor{layer},
			})
		}, nil, 7},
		{"99 bad signatures and 200 attestations", crowded, nil, 0},
		{"99 bad signatures and 200 attestations, attestations first", crowded, by(provenance, true), 0},
		{"99 bad signatures and 200 attestations, signatures first", crowded, by(sign, true), 0},
		{"99 bad signatures and 200 attestations, the good one last", crowded, last, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t)
			row.prepare(c)
			v, err := c.check(c.serve(row.change), c.trust)
			if err != nil {
				t.Fatal(err)
			}
			seen, most := v.Seen(), row.most
			if most == 0 {
				most = 4 + 2*seen.Looked
			}
			t.Logf("%d requests, %+v", c.requests(), seen)
			if n := c.requests(); n > most || len(v.Signers()) != 1 {
				t.Errorf("%d requests, at most %d, and %+v", n, most, v.Signers())
			}
			if seen.Looked > pull.MaxCandidates || seen.OverLimit > 0 || seen.Looked+seen.NotNeeded < seen.Referrers {
				t.Errorf("looked at %+v", seen)
			}
		})
	}
}

// TestAskForAll: whoever wants to see everything does, up to the limit, and the rest
// is counted.
func TestAskForAll(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.junk(22, schemas.MediaTypeBundle, provenance)
	c.bundle(c.key, schemas.PredicateCosignSign, schemas.PredicateCosignSign)
	img := verifytest.Must[*pull.Image](t)(pull.Fetch(t.Context(), c.serve(nil), c.ref, pull.Options{OnDemand: true}))
	v, err := verify.CheckWith(t.Context(), img, c.trust, verify.Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	report := verify.NewReport(img, v, nil)
	if want := (verify.Seen{Referrers: 23, Looked: 23}); len(report.Attempts) != 23 || report.Seen == nil || *report.Seen != want {
		t.Errorf("%d attempts, %+v", len(report.Attempts), report.Seen)
	}
}

// TestAskForWhatTheRuleWants: an attestation that is demanded is likely too.
func TestAskForWhatTheRuleWants(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.junk(22, schemas.MediaTypeBundle, "https://spdx.dev/Document")
	c.bundle(c.key, schemas.PredicateCosignSign, schemas.PredicateCosignSign)
	c.bundle(c.key, provenance, provenance)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"cosign.pub": c.key.PEM(t), "policy.yaml": []byte(
		"version: 1\nrules: [{repository: registry.test/net/counter, keys: [cosign.pub], attestations: [{type: slsaprovenance1}]}]\n")} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	policy := verifytest.Must[*verify.Policy](t)(verify.LoadPolicy(filepath.Join(dir, "policy.yaml")))
	v, err := c.check(c.serve(nil), policy)
	if err != nil {
		t.Fatal(err)
	}
	if n := c.requests(); n > 8 || v.Seen().Looked != 2 {
		t.Errorf("%d requests, %+v", n, v.Seen())
	}
}

// TestRefusalsSayWhatWasSeen: what was looked at, what was not and why; and what
// could not be found out is not called absent.
func TestRefusalsSayWhatWasSeen(t *testing.T) {
	t.Parallel()
	sign := schemas.PredicateCosignSign
	fails := func(path string, status int) testregistry.Fault {
		return testregistry.Fault{Method: http.MethodGet, Path: path, Do: testregistry.Status(status, "no")}
	}
	for _, row := range []struct {
		name    string
		prepare func(c *crowd)
		faults  []testregistry.Fault
		open    bool
		want    string // parts, by " … "
	}{
		{"nothing", func(*crowd) {}, nil, false, "is not trusted: it has no signature: sign it"},
		{
			"SBOMs", func(c *crowd) { c.junk(3, "application/spdx+json", "") }, nil, false,
			"is not trusted: it has no signature … of 3 attached to it, 3 are neither signatures nor attestations",
		},
		{
			"Notary Project", func(c *crowd) { c.junk(1, notaryType, "") }, nil, false,
			"is not trusted: it has no signature … it has a signature of the Notary Project, which bpfimg does not check",
		},
		{
			"more than are looked at", func(c *crowd) { c.junk(130, schemas.MediaTypeBundle, sign) }, nil, false,
			"is not trusted: no valid signature among 128 candidates … 2 more were not looked at: at most 128 are, and 8 MiB",
		},
		{
			"list unread", func(*crowd) {},
			[]testregistry.Fault{fails("/referrers/", 503)},
			true,
			"cannot be verified by … not everything could be read: bundle: could not be fetched: listing the referrers",
		},
		{"list denied", func(*crowd) {}, []testregistry.Fault{fails("/referrers/", 429)}, true, "cannot be verified by … listing the referrers … 429"},
		{"candidate unread", func(c *crowd) { c.bundle(c.key, sign, sign) }, []testregistry.Fault{fails("LATEST", 500)}, true, "cannot be verified by … could be read: bundle sha256 … 500"},
		{
			"one refused, one unread", func(c *crowd) {
				c.bundle(c.other, sign, sign)
				c.put("sha256-"+c.image.Digest.Encoded()+".sig", ocispec.Manifest{Config: c.blob(ocispec.MediaTypeImageConfig, []byte(`{}`))})
			},
			[]testregistry.Fault{fails(".sig", 502)},
			true,
			"cannot be verified: no valid signature among 2 candidates: bundle … not signed by a trusted key … not everything could be read: legacy: could not be fetched … 502",
		},
		// These cannot be what is missing.
		{"attestations of cosign 2 unread", func(*crowd) {}, []testregistry.Fault{fails(".att", 502)}, false, "is not trusted"},
		{"tag denied", func(*crowd) {}, []testregistry.Fault{fails(".sig", 403), fails(".att", 401)}, false, "is not trusted: it has no signature"},
		{"listed, and gone", func(c *crowd) { c.bundle(c.key, sign, sign) }, []testregistry.Fault{fails("LATEST", 404)}, false, "is not trusted: no valid signature among 1 candidate … not found"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t)
			row.prepare(c)
			for i := range row.faults {
				row.faults[i].Path = strings.Replace(row.faults[i].Path, "LATEST", c.latest.String(), 1)
			}
			v, err := c.check(c.serve(nil, row.faults...), c.trust)
			var refused *verify.NotTrustedError
			if v != nil || !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			if errors.Is(err, verify.ErrUndecided) != row.open || errors.Is(err, verify.ErrNotTrusted) == row.open || refused.Undecided() != row.open {
				t.Errorf("undecided is %v: %v", refused.Undecided(), err)
			}
			rest := err.Error()
			for _, part := range strings.Split(row.want, " … ") {
				_, after, ok := strings.Cut(rest, part)
				if !ok {
					t.Fatalf("no %q in %q", part, err)
				}
				rest = after
			}
		})
	}
}

// TestListWasCut: a list as long as lists are read says nothing about its rest.
func TestListWasCut(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	c.junk(1, "application/spdx+json", "")
	_, err := c.check(c.serve(func(list []ocispec.Descriptor) []ocispec.Descriptor {
		for i := range image.MaxReferrers + 5 {
			d := list[0]
			d.Digest = digest.FromString(fmt.Sprint(i))
			list = append(list, d)
		}
		return list
	}), c.trust)
	want := fmt.Sprintf("the list of what is attached to it was cut at %d", image.MaxReferrers)
	if !errors.Is(err, verify.ErrNotTrusted) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

// TestNeverFetched: what a run did without is not absent offline, and is fetched
// when it is needed.
func TestNeverFetched(t *testing.T) {
	t.Parallel()
	sign := schemas.PredicateCosignSign
	c := newCrowd(t)
	c.junk(5, schemas.MediaTypeBundle, provenance)
	c.bundle(c.key, sign, sign)
	c.bundle(c.other, sign, "") // not said in the list
	store := verifytest.Must[*image.Store](t)(image.OpenStore(t.TempDir()))
	keep := func(opts pull.Options, trust verify.Trust) {
		t.Helper()
		memo := pull.NewMemo(&pull.Cached{Local: store, Remote: c.serve(nil)})
		img := verifytest.Must[*pull.Image](t)(pull.Fetch(t.Context(), memo, c.ref, opts))
		if trust != nil {
			verifytest.Must[*verify.Verified](t)(verify.Check(t.Context(), img, trust))
		}
		img.Enough()
		memo.Seal()
		at := c.ref.WithDigest(c.image.Digest.String())
		if err := store.SetUnasked(t.Context(), at, memo.Unasked(at)); err != nil {
			t.Fatal(err)
		}
		verifytest.Must[ocispec.Descriptor](t)(image.Copy(t.Context(), store, c.ref, memo, c.ref, image.CopyOptions{Referrers: true, Have: memo.Has}))
	}
	stranger := trusts(t, verifytest.NewKey(t))
	keep(pull.Options{OnDemand: true}, c.trust)

	if _, err := c.check(store, c.trust); err != nil {
		t.Errorf("offline: %v", err)
	}
	_, err := c.check(store, stranger)
	if !errors.Is(err, verify.ErrUndecided) || !strings.Contains(err.Error(), "6 more that are attached to it were never fetched into the local store: `bpfimg pull registry.test/net/counter@sha256:") {
		t.Errorf("offline, by another key: %v", err)
	}
	keep(pull.Options{OnDemand: true}, trusts(t, c.other))
	if _, err := c.check(store, trusts(t, c.other)); err != nil {
		t.Errorf("fetched by a later rule, and then: %v", err)
	}
	if _, err := c.check(store, stranger); !errors.Is(err, verify.ErrUndecided) || !strings.Contains(err.Error(), "5 more that are") {
		t.Errorf("some are still missing: %v", err)
	}
	keep(pull.Options{}, nil)
	if _, err := c.check(store, stranger); !errors.Is(err, verify.ErrNotTrusted) || strings.Contains(err.Error(), "never") {
		t.Errorf("after a pull: %v", err)
	}
}

// TestStoreFirst: what the store has need not be asked for, and the registry has the
// rest.
func TestStoreFirst(t *testing.T) {
	t.Parallel()
	sign := schemas.PredicateCosignSign
	c := newCrowd(t)
	c.bundle(c.key, sign, sign)
	store := verifytest.Must[*image.Store](t)(image.OpenStore(t.TempDir()))
	verifytest.Must[ocispec.Descriptor](t)(image.Copy(t.Context(), store, c.ref, c.src, c.ref, image.CopyOptions{Referrers: true}))
	c.bundle(c.other, sign, sign)
	for _, row := range []struct {
		name     string
		trust    verify.Trust
		requests int
	}{
		{"signed there", c.trust, 1},                // what the tag names
		{"signed since", trusts(t, c.other), 1 + 3}, // the list, and one in it that is new
	} {
		c.recorder = &testregistry.Recorder{}
		src := &pull.Cached{Local: store, Remote: c.serve(nil)}
		img := verifytest.Must[*pull.Image](t)(pull.Fetch(t.Context(), src, c.ref, pull.Options{OnDemand: true, First: store}))
		if _, err := verify.Check(t.Context(), img, row.trust); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
		if n := c.requests(); n != row.requests {
			t.Errorf("%s: %d requests, want %d: %+v", row.name, n, row.requests, c.recorder.Calls())
		}
	}
}

// TestLateOnesHideNothing: candidates that never come, and a list that does not, hold
// up neither the others nor, for ever, the refusal.
func TestLateOnesHideNothing(t *testing.T) {
	t.Parallel()
	sign := schemas.PredicateCosignSign
	legacy := func(c *crowd) {
		payload := verifytest.Payload(c.image.Digest.String())
		layer := c.blob(schemas.MediaTypeSimpleSigning, []byte(payload))
		layer.Annotations = c.key.Legacy(c.t, payload)
		c.put("sha256-"+c.image.Digest.Encoded()+".sig", ocispec.Manifest{
			Config: c.blob(ocispec.MediaTypeImageConfig, []byte(`{}`)), Layers: []ocispec.Descriptor{layer},
		})
	}
	for _, row := range []struct {
		name    string
		prepare func(c *crowd) (hangs []string)
		trusted bool
	}{
		{"some of the likely ones", func(c *crowd) (hangs []string) {
			for i := range 9 {
				hangs = append(hangs, c.attach(schemas.MediaTypeBundle, sign, []byte(fmt.Sprint(i))).Digest.String())
			}
			c.bundle(c.key, sign, sign)
			return hangs
		}, true},
		{"the list, and cosign 2 has it", func(c *crowd) []string {
			legacy(c)
			return []string{"/referrers/"}
		}, true},
		{"all", func(c *crowd) []string { return []string{c.bundle(c.key, sign, sign).Digest.String()} }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t)
				var faults []testregistry.Fault
				for _, part := range row.prepare(c) {
					faults = append(faults, testregistry.Fault{Method: http.MethodGet, Path: part, Do: testregistry.Hang()})
				}
				begin := time.Now()
				_, err := c.check(c.serve(nil, faults...), c.trust)
				if took := time.Since(begin); (err == nil) != row.trusted || took > 30*time.Second || row.trusted == (took >= 30*time.Second) {
					t.Errorf("after %s of the bubble's time: %v", took, err)
				}
				if err != nil && !errors.Is(err, verify.ErrUndecided) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
