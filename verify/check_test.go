// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
)

// someOther is the digest of an image that is not the one under test.
var someOther = digest.FromString("another image").String()

// TestAttacks makes each image with the trusted key at hand and says whether it
// is trusted and, if not, what the error must hold.
func TestAttacks(t *testing.T) {
	t.Parallel()
	good, other := newKey(t), newKey(t)
	tests := []struct {
		name string
		make func(t *testing.T, img *pull.Image)
		want string // "" for trusted
	}{
		{"unsigned", func(*testing.T, *pull.Image) {}, "it has no signature"},
		{"signed", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img))}
		}, ""},
		{"signed, legacy", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.legacy(t, payloadOf(digestOf(img)))}
		}, ""},
		{"other key", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{other.bundle(t, digestOf(img))}
		}, "not signed by a trusted key"},
		{"other key, legacy", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{other.legacy(t, payloadOf(digestOf(img)))}
		}, "not signed by a trusted key"},
		{"copied from another image", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, someOther)}
		}, "signs another image"},
		{"copied from another image, legacy", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.legacy(t, payloadOf(someOther))}
		}, "signs another image"},
		{"attestation by the trusted key", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, statementOf(digestOf(img), "https://slsa.dev/provenance/v1")))}
		}, "is an attestation"},
		{"predicate type of another case", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, statementOf(digestOf(img), schemas.PredicateCosignSign+"/")))}
		}, "is an attestation"},
		{"statement without predicate type", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, statementOf(digestOf(img), "")))}
		}, "is an attestation"},
		{"statement of another version", func(t *testing.T, img *pull.Image) {
			s := strings.Replace(statementOf(digestOf(img), schemas.PredicateCosignSign), "/v1", "/v0.1", 1)
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, s))}
		}, "statement type"},
		{"subject without sha256", func(t *testing.T, img *pull.Image) {
			s := strings.Replace(statementOf(digestOf(img), schemas.PredicateCosignSign), "sha256", "sha384", 1)
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, s))}
		}, "signs no sha256 or sha512 digest"},
		{"sha256 called sha512", func(t *testing.T, img *pull.Image) {
			s := strings.Replace(statementOf(digestOf(img), schemas.PredicateCosignSign), "sha256", "sha512", 1)
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, s))}
		}, "signs another image"},
		{"another image by sha512", func(t *testing.T, img *pull.Image) {
			named512(img)
			other := digest.SHA512.FromString("another").String()
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, statement512(other)))}
		}, "signs another image"},
		{"a sha512 of other bytes", func(t *testing.T, img *pull.Image) {
			img.Manifest.Descriptor.Digest = digest.SHA512.FromString("another")
			img.Root = img.Manifest
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, statement512(digestOf(img))))}
		}, "content does not match its digest"},
		{"no subject", func(t *testing.T, img *pull.Image) {
			s := `{"_type":"` + statementType + `","subject":[],"predicateType":"` + schemas.PredicateCosignSign + `"}`
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, s))}
		}, "signs no sha256 or sha512 digest"},
		{"subject twice in one statement", func(t *testing.T, img *pull.Image) {
			s := strings.Replace(statementOf(someOther, schemas.PredicateCosignSign), `"predicateType"`,
				`"subject":[{"digest":{"sha256":"`+digest.Digest(digestOf(img)).Encoded()+`"}}],"predicateType"`, 1)
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, s))}
		}, "no in-toto statement"},
		{"subjects again, with a letter that encoding/json takes for an s", func(t *testing.T, img *pull.Image) {
			s := strings.Replace(statementOf(digestOf(img), schemas.PredicateCosignSign), `"predicateType"`,
				`"ſubject":`+subjectsOf(digestOf(img), someOther)+`,"predicateType"`, 1)
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, inToto, s))}
		}, "two readings"},
		{"statement rewritten after signing", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, someOther, func(b *protobundle.Bundle) {
				b.GetDsseEnvelope().Payload = []byte(statementOf(digestOf(img), schemas.PredicateCosignSign))
			})}
		}, "changed after it was signed"},
		{"predicate rewritten after signing", func(t *testing.T, img *pull.Image) {
			b := good.envelope(t, inToto, statementOf(digestOf(img), "https://slsa.dev/provenance/v1"), func(b *protobundle.Bundle) {
				b.GetDsseEnvelope().Payload = []byte(statementOf(digestOf(img), schemas.PredicateCosignSign))
			})
			img.Candidates = []pull.Candidate{candidateOf(b)}
		}, "changed after it was signed"},
		{"signed as another payload type", func(t *testing.T, img *pull.Image) {
			s := statementOf(digestOf(img), schemas.PredicateCosignSign)
			img.Candidates = []pull.Candidate{candidateOf(good.envelope(t, "text/plain", s))}
		}, "no in-toto statement"},
		{"payload type rewritten after signing", func(t *testing.T, img *pull.Image) {
			b := good.envelope(t, "text/plain", statementOf(digestOf(img), schemas.PredicateCosignSign), func(b *protobundle.Bundle) {
				b.GetDsseEnvelope().PayloadType = inToto
			})
			img.Candidates = []pull.Candidate{candidateOf(b)}
		}, "changed after it was signed"},
		{"no signatures in the envelope", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img), func(b *protobundle.Bundle) {
				b.GetDsseEnvelope().Signatures = nil
			})}
		}, "has 0 signatures"},
		{"empty signature", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img), func(b *protobundle.Bundle) {
				b.GetDsseEnvelope().Signatures[0].Sig = nil
			})}
		}, "not signed by a trusted key"},
		{"two signatures in the envelope", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img), func(b *protobundle.Bundle) {
				e := b.GetDsseEnvelope()
				e.Signatures = append(e.Signatures, &protodsse.Signature{Sig: []byte("x")})
			})}
		}, "has 2 signatures"},
		{"certificate instead of a key", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img), func(b *protobundle.Bundle) {
				b.VerificationMaterial.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: []byte("x")}}
			})}
		}, "signed with a certificate"},
		{"bare message signature", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img), func(b *protobundle.Bundle) {
				b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
					MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: []byte(img.Manifest.Descriptor.Digest.Encoded())},
					Signature:     good.sign(t, img.Manifest.Bytes),
				}}
			})}
		}, "bare signature"},
		{"older bundle version", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img), func(b *protobundle.Bundle) {
				b.MediaType = "application/vnd.dev.sigstore.bundle+json;version=0.1"
			})}
		}, "bundle version"},
		{"truncated bundle", func(t *testing.T, img *pull.Image) {
			c := good.bundle(t, digestOf(img))
			c.Bundle = c.Bundle[:len(c.Bundle)/2]
			img.Candidates = []pull.Candidate{c}
		}, "not a Sigstore bundle"},
		{"bundle as large as an attestation", func(t *testing.T, img *pull.Image) {
			c := good.bundle(t, digestOf(img))
			c.Bundle = append(c.Bundle, bytes.Repeat([]byte(" "), maxBundle)...)
			img.Candidates = []pull.Candidate{c}
		}, "over the limit"},
		{"junk before a good bundle", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{
				candidateOf([]byte("junk")), candidateOf(nil),
				{Kind: pull.KindBundle, Err: errors.New("blob gone")},
				{Kind: "new"},
				{Kind: pull.KindLegacy},
				other.bundle(t, digestOf(img)), good.bundle(t, digestOf(img)),
			}
		}, ""},
		{"not fetched", func(_ *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{{Kind: pull.KindBundle, Err: errors.New("blob gone")}}
		}, "could not be fetched: blob gone"},
		{"kind unknown", func(_ *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{{Kind: "new"}}
		}, "not known here"},
		{"legacy without signature", func(t *testing.T, img *pull.Image) {
			c := good.legacy(t, payloadOf(digestOf(img)))
			c.Annotations = nil
			img.Candidates = []pull.Candidate{c}
		}, "has no dev.cosignproject.cosign/signature"},
		{"legacy with another's signature", func(t *testing.T, img *pull.Image) {
			c := good.legacy(t, payloadOf(digestOf(img)))
			c.Annotations = good.legacy(t, payloadOf(someOther)).Annotations
			img.Candidates = []pull.Candidate{c}
		}, "changed after it was signed"},
		{"legacy of another type", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.legacy(t, strings.Replace(payloadOf(digestOf(img)), legacyType, "atomic container signature", 1))}
		}, `has the type "atomic container signature"`},
		{"legacy with the digest twice", func(t *testing.T, img *pull.Image) {
			p := strings.Replace(payloadOf(digestOf(img)), `{"docker-manifest-digest"`, `{"docker-manifest-digest":"`+someOther+`","docker-manifest-digest"`, 1)
			img.Candidates = []pull.Candidate{good.legacy(t, p)}
		}, "given twice"},
		{"legacy with the digest in other letters", func(t *testing.T, img *pull.Image) {
			p := strings.Replace(payloadOf(digestOf(img)), "docker-manifest-digest", "Docker-Manifest-Digest", 1)
			img.Candidates = []pull.Candidate{good.legacy(t, p)}
		}, "not known"},
		{"legacy that is an attestation envelope", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.legacy(t, `{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}`)}
		}, "not a simple-signing payload"},
		{"legacy with more after it", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.legacy(t, payloadOf(digestOf(img))+payloadOf(someOther))}
		}, "more follows"},
		{"legacy nested without end", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.legacy(t, `{"optional":`+strings.Repeat("[", 60000))}
		}, "not a simple-signing payload"},
		{"legacy over the limit", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.legacy(t, payloadOf(digestOf(img))+strings.Repeat(" ", maxPayload))}
		}, "over the limit"},
		{"index signed", func(t *testing.T, img *pull.Image) {
			underIndex(t, img, digest.Digest(someOther), img.Manifest.Descriptor.Digest)
			img.Candidates = []pull.Candidate{good.bundle(t, img.Root.Descriptor.Digest.String())}
		}, ""},
		{"index signed, legacy", func(t *testing.T, img *pull.Image) {
			underIndex(t, img, img.Manifest.Descriptor.Digest)
			img.Candidates = []pull.Candidate{good.legacy(t, payloadOf(img.Root.Descriptor.Digest.String()))}
		}, ""},
		{"child of an index signed", func(t *testing.T, img *pull.Image) {
			underIndex(t, img, img.Manifest.Descriptor.Digest)
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img))}
		}, "not the index"},
		{"child of an index signed, legacy", func(t *testing.T, img *pull.Image) {
			underIndex(t, img, img.Manifest.Descriptor.Digest)
			img.Candidates = []pull.Candidate{good.legacy(t, payloadOf(digestOf(img)))}
		}, "not the index"},
		{"index and child signed", func(t *testing.T, img *pull.Image) {
			underIndex(t, img, img.Manifest.Descriptor.Digest)
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img)), good.bundle(t, img.Root.Descriptor.Digest.String())}
		}, ""},
		{"index signed, child not listed", func(t *testing.T, img *pull.Image) {
			underIndex(t, img, digest.Digest(someOther))
			img.Candidates = []pull.Candidate{good.bundle(t, img.Root.Descriptor.Digest.String())}
		}, "does not list this image"},
		{"index changed after fetch", func(t *testing.T, img *pull.Image) {
			underIndex(t, img, digest.Digest(someOther))
			signed := img.Root.Descriptor
			underIndex(t, img, img.Manifest.Descriptor.Digest)
			img.Root.Descriptor = signed
			img.Candidates = []pull.Candidate{good.bundle(t, signed.Digest.String())}
		}, "content does not match its digest"},
		{"manifest changed after fetch", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img))}
			img.Manifest.Bytes = append(bytes.Clone(img.Manifest.Bytes), ' ')
		}, "content does not match its digest"},
		{"config changed after fetch", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img))}
			img.Config = []byte(`{"x":1}`)
		}, "content does not match its digest"},
		{"object changed after fetch", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img))}
			img.Objects[0].Bytes[100] ^= 1
		}, "content does not match its digest"},
		{"BTF changed after fetch", func(t *testing.T, img *pull.Image) {
			img.BTF = []pull.BTF{{Kernels: []string{"5.4"}, Bytes: []byte("types"), Digest: digest.FromString("other types").String()}}
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img))}
		}, "content does not match its digest"},
		{"digest of another kind", func(t *testing.T, img *pull.Image) {
			img.Candidates = []pull.Candidate{good.bundle(t, digestOf(img))}
			img.Objects[0].Digest = digest.SHA512.FromBytes(img.Objects[0].Bytes).String()
		}, "want sha256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			tt.make(t, img)
			v, err := Check(t.Context(), img, Keys{good.Key})
			checkOutcome(t, img, v, err, tt.want)
		})
	}
}

// checkOutcome compares what Check returned with want: "" for trusted, else
// what the refusal says.
func checkOutcome(t *testing.T, img *pull.Image, v *Verified, err error, want string) {
	t.Helper()
	report := NewReport(img, v, err)
	if want == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		if len(v.Signers()) != 1 || v.Skipped() || v.Digest() != digestOf(img) || !report.Trusted {
			t.Errorf("signers %v, digest %s, report %+v", v.Signers(), v.Digest(), report)
		}
		return
	}
	var refused *NotTrustedError
	if v != nil || !errors.Is(err, ErrNotTrusted) || !errors.As(err, &refused) {
		t.Fatalf("got %v and error %v, want a NotTrustedError", v, err)
	}
	for _, part := range []string{want, "reg.example/net/xdp-counter@" + digestOf(img)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not hold %q", err, part)
		}
	}
	if report.Trusted || report.Reason != err.Error() || len(report.Attempts) != len(refused.Attempts) {
		t.Errorf("report %+v", report)
	}
}

func TestSeveralSignatures(t *testing.T) {
	t.Parallel()
	one, two, stranger := newKey(t), newKey(t), newKey(t)
	img := newImage(t)
	img.Candidates = []pull.Candidate{
		one.bundle(t, digestOf(img)), stranger.bundle(t, digestOf(img)),
		two.bundle(t, digestOf(img)), one.legacy(t, payloadOf(digestOf(img))),
	}
	v, err := Check(t.Context(), img, Keys{one.Key, two.Key})
	if err != nil {
		t.Fatal(err)
	}
	want := []schemas.Signer{
		{Kind: "key", KeyID: one.ID, KeyFile: "test.pub", Format: "bundle", Digest: img.Candidates[0].Manifest},
		{Kind: "key", KeyID: two.ID, KeyFile: "test.pub", Format: "bundle", Digest: img.Candidates[2].Manifest},
		{Kind: "key", KeyID: one.ID, KeyFile: "test.pub", Format: "legacy", Digest: img.Candidates[3].Manifest},
	}
	if got := v.Signers(); len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("signers %v, want %v", got, want)
	}
	report := NewReport(img, v, nil)
	if len(report.Attempts) != 4 || report.Attempts[1].Accepted || report.Attempts[3].Claims != "reg.example/a" {
		t.Errorf("attempts %+v", report.Attempts)
	}
}

// TestIndexDigest: which index the image was chosen from is said of those that
// were.
func TestIndexDigest(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	alone, chosen := newImage(t), newImage(t)
	underIndex(t, chosen, chosen.Manifest.Descriptor.Digest)
	index := chosen.Root.Descriptor.Digest.String()
	alone.Candidates = []pull.Candidate{key.bundle(t, digestOf(alone))}
	chosen.Candidates = []pull.Candidate{key.bundle(t, index)}
	for want, img := range map[string]*pull.Image{"": alone, index: chosen} {
		v, err := Check(t.Context(), img, Keys{key.Key})
		if err != nil {
			t.Fatal(err)
		}
		if v.IndexDigest() != want || v.Digest() != digestOf(img) {
			t.Errorf("image %s of index %q, want %s of %q", v.Digest(), v.IndexDigest(), digestOf(img), want)
		}
	}
}

func TestKeyKinds(t *testing.T) {
	t.Parallel()
	for name, key := range allKinds(t) {
		t.Run(name, func(t *testing.T) {
			for _, candidate := range []pull.Candidate{
				key.bundle(t, digestOf(newImage(t))), key.legacy(t, payloadOf(digestOf(newImage(t)))),
			} {
				img := newImage(t)
				img.Candidates = []pull.Candidate{candidate}
				if _, err := Check(t.Context(), img, Keys{newKey(t).Key, key.Key}); err != nil {
					t.Errorf("%s: %v", candidate.Kind, err)
				}
			}
		})
	}
}

func TestErrorIsBounded(t *testing.T) {
	t.Parallel()
	img := newImage(t)
	for range maxCandidates + 9 {
		img.Candidates = append(img.Candidates, pull.Candidate{
			Kind: pull.KindBundle, Manifest: strings.Repeat("m", 9000), Err: errors.New(strings.Repeat("é\n", 9000)),
		})
	}
	_, err := Check(t.Context(), img, Keys{newKey(t).Key})
	var refused *NotTrustedError
	if !errors.As(err, &refused) || len(refused.Attempts) != maxCandidates {
		t.Fatalf("%d attempts, want the limit of %d", len(refused.Attempts), maxCandidates)
	}
	if n := len(err.Error()); n > 4096 {
		t.Errorf("error of %d bytes", n)
	}
}

func TestCheckStops(t *testing.T) {
	t.Parallel()
	key, img := newKey(t), newImage(t)
	img.Candidates = []pull.Candidate{key.bundle(t, digestOf(img))}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, img, Keys{key.Key}); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotTrusted) {
		t.Errorf("error %v, want context.Canceled alone", err)
	}
	if _, err := Check(t.Context(), img, Keys{}); !errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), "--key") {
		t.Errorf("no keys: %v", err)
	}
	if _, err := Check(t.Context(), img, Keys{{PEM: []byte("x")}}); err == nil || errors.Is(err, ErrNotTrusted) {
		t.Errorf("a broken key: %v, want an error about the key", err)
	}
}

func TestNotBPF(t *testing.T) {
	t.Parallel()
	key, img := newKey(t), newImage(t)
	img.Objects = []pull.Object{{File: "x.o", Bytes: []byte("hello"), Digest: digest.FromString("hello").String()}}
	img.Candidates = []pull.Candidate{key.bundle(t, digestOf(img))}
	if v, err := Check(t.Context(), img, Keys{key.Key}); v != nil || !errors.Is(err, inspect.ErrNotBPF) {
		t.Errorf("got %v, %v, want ErrNotBPF", v, err)
	}
	// What nobody signed is not even parsed.
	img.Candidates = nil
	if _, err := Check(t.Context(), img, Keys{key.Key}); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("unsigned: %v, want ErrNotTrusted", err)
	}
}

func TestSkip(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	img := newImage(t)
	v, err := Skip(img, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !v.Skipped() || len(v.Signers()) != 0 || len(v.Description().Objects) != 1 || v.Reference() != img.Reference {
		t.Errorf("%+v", v)
	}
	if r := NewReport(img, v, nil); r.Trusted || !r.Skipped {
		t.Errorf("report %+v", r)
	}
	for _, part := range []string{"level=WARN", "reg.example/net/xdp-counter", digestOf(img)} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("warning %q does not hold %q", log.String(), part)
		}
	}
	img.Objects[0].Bytes[0] ^= 1
	if _, err := Skip(img, slog.New(slog.DiscardHandler)); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("changed object: %v, want ErrDigestMismatch", err)
	}
}
