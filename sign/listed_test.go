// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
)

// forgetful is a repository whose lists lack what was written.
type forgetful struct {
	*memory
	late    int   // how many looks it takes until it lists
	listErr error // of every list
	putErr  error // of every manifest with a subject, which is written all the same
	full    bool  // of others
	looks   int
}

func (f *forgetful) Referrers(ctx context.Context, ref image.Reference) ([]ocispec.Descriptor, error) {
	f.looks++
	switch {
	case f.listErr != nil:
		return nil, f.listErr
	case f.full:
		return make([]ocispec.Descriptor, image.MaxReferrers), nil
	case f.looks <= f.late:
		return nil, nil
	}
	return f.memory.Referrers(ctx, ref)
}

func (f *forgetful) PutManifest(ctx context.Context, ref image.Reference, m image.Manifest) error {
	if err := f.memory.PutManifest(ctx, ref, m); err != nil {
		return err
	}
	return f.putErr
}

// helped can be told to list.
type helped struct {
	*forgetful
	useless bool
	err     error
	put     []string
}

func (h *helped) PutFallback(_ context.Context, ref image.Reference, m image.Manifest) error {
	if ref.Digest() != m.Descriptor.Digest.String() {
		return fmt.Errorf("%s is no name of %s", ref, m.Descriptor.Digest)
	}
	h.put = append(h.put, ref.Digest())
	if h.err == nil && !h.useless {
		h.late = 0
	}
	return h.err
}

const never = 1 << 20

func TestListedAfterWriting(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken pipe")
	tests := []struct {
		name  string
		repo  forgetful
		help  *helped // nil: it cannot be told
		looks int
		puts  int
		takes time.Duration
		wraps []error // of the error; none when it is to succeed
		text  string
	}{
		{name: "at once", looks: 1, help: &helped{}},
		{name: "late", repo: forgetful{late: 2}, looks: 3, help: &helped{}, takes: 750 * time.Millisecond},
		{name: "at the fallback tag", repo: forgetful{late: never}, looks: 5, puts: 1, help: &helped{}, takes: 1750 * time.Millisecond},
		{name: "never", repo: forgetful{late: never}, looks: 4, takes: 1750 * time.Millisecond, wraps: []error{sign.ErrUnlisted}, text: "it lists 0 others"},
		{
			name: "not even at the fallback tag", repo: forgetful{late: never}, looks: 5, puts: 1, help: &helped{useless: true},
			takes: 1750 * time.Millisecond, wraps: []error{sign.ErrUnlisted},
		},
		{
			name: "fallback tag taken", repo: forgetful{late: never}, looks: 4, puts: 1, help: &helped{err: image.ErrFallbackTaken},
			takes: 1750 * time.Millisecond, wraps: []error{sign.ErrUnlisted, image.ErrFallbackTaken},
		},
		{name: "fallback tag taken when it was written", repo: forgetful{putErr: image.ErrFallbackTaken}, help: &helped{}, wraps: []error{sign.ErrUnlisted, image.ErrFallbackTaken}},
		{name: "list is full", repo: forgetful{full: true}, looks: 1, help: &helped{}, wraps: []error{sign.ErrUnlisted}, text: "not among the first 1024"},
		{name: "list fails", repo: forgetful{listErr: broken}, looks: 1, help: &helped{}, wraps: []error{broken}, text: "after it was written"},
	}
	signer := newSigner(t)
	predicate, err := sign.NewPredicate("custom", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		for what, write := range map[string]func(context.Context, sign.Repository, image.Reference) error{
			"sign": func(ctx context.Context, repo sign.Repository, ref image.Reference) error {
				_, err := sign.Sign(ctx, repo, ref, signer, sign.Options{})
				return err
			},
			"sign recursively": func(ctx context.Context, repo sign.Repository, ref image.Reference) error {
				_, err := sign.Sign(ctx, repo, ref, signer, sign.Options{Recursive: true})
				return err
			},
			"attest": func(ctx context.Context, repo sign.Repository, ref image.Reference) error {
				_, err := sign.Attest(ctx, repo, ref, signer, predicate, sign.Options{})
				return err
			},
		} {
			t.Run(tt.name+", "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					lists := tt.repo
					lists.memory = newMemory()
					lists.add("v1", `{}`)
					var repo sign.Repository = &lists
					var help helped
					if tt.help != nil {
						help = *tt.help
						help.forgetful = &lists
						repo = &help
					}
					begin := time.Now()
					err := write(t.Context(), repo, reference(t, "reg.example/a:v1"))
					if (err == nil) != (len(tt.wraps) == 0) || err != nil && !strings.Contains(err.Error(), tt.text) {
						t.Errorf("got %v", err)
					}
					for _, want := range tt.wraps {
						if !errors.Is(err, want) {
							t.Errorf("got %v, want %v in it", err, want)
						}
					}
					if took := time.Since(begin); lists.looks != tt.looks || len(help.put) != tt.puts || took != tt.takes {
						t.Errorf("%d looks and %d times told in %s, want %d and %d in %s", lists.looks, len(help.put), took, tt.looks, tt.puts, tt.takes)
					}
				})
			})
		}
	}
	t.Run("given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			repo := &forgetful{memory: newMemory(), late: never}
			repo.add("v1", `{}`)
			_, err := sign.Sign(ctx, repo, reference(t, "reg.example/a:v1"), signer, sign.Options{})
			if !errors.Is(err, sign.ErrUnlisted) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	})
}

// TestListedByRegistry counts what it costs, and helps a registry that says it lists
// what it gets and has no list.
func TestListedByRegistry(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		opts    testregistry.Options
		subject bool // is confirmed, whatever the options say
		most    int  // requests
	}{
		"referrers API":               {most: 11},
		"fallback tag":                {opts: testregistry.Options{NoReferrers: true}, most: 15},
		"says it lists, and does not": {opts: testregistry.Options{NoReferrers: true}, subject: true, most: 15},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry, err := testregistry.New(row.opts)
				if err != nil {
					t.Fatal(err)
				}
				var h http.Handler = registry
				recorder := &testregistry.Recorder{}
				ref := reference(t, "localhost:1/a:v1")
				d := putImage(t, clientOf(t, h), ref)
				if row.subject {
					h = testregistry.Fault{Method: http.MethodPut, Path: "/manifests/sha256:", Do: testregistry.Header("OCI-Subject", d.String())}.Wrap(h)
				}
				repo := clientOf(t, recorder.Wrap(h))
				r, err := sign.Sign(t.Context(), repo, ref, newSigner(t), sign.Options{})
				if err != nil {
					t.Fatal(err)
				}
				list, err := clientOf(t, registry).Referrers(t.Context(), ref.WithDigest(d.String()))
				if err != nil || len(list) != 1 || list[0].Digest != r.Signature.Digest {
					t.Errorf("got %v, %v, want %s", list, err, r.Signature.Digest)
				}
				if n := recorder.Count("", ""); n > row.most {
					t.Errorf("%d requests, want at most %d", n, row.most)
				}
			})
		})
	}
}

func clientOf(t *testing.T, h http.Handler) *image.Registry {
	t.Helper()
	r, err := image.NewRegistry(image.RegistryOptions{Keychain: authn.NewMultiKeychain(), Transport: testregistry.InProcess(h)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// putImage stores an image without layers and returns its digest.
func putImage(t *testing.T, repo image.Sink, ref image.Reference) digest.Digest {
	t.Helper()
	config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString(`{}`), Size: 2}
	content, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []string{}})
	if err != nil {
		t.Fatal(err)
	}
	m := image.Manifest{Bytes: content, Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(content), Size: int64(len(content)),
	}}
	if err := repo.PutBlob(t.Context(), ref, config, []byte(`{}`), ""); err != nil {
		t.Fatal(err)
	}
	if err := repo.PutManifest(t.Context(), ref, m); err != nil {
		t.Fatal(err)
	}
	return m.Descriptor.Digest
}

// TestLegacyTogether: of several signers at once, each with a client of its own, every
// one that says it signed is found afterwards.
func TestLegacyTogether(t *testing.T) {
	t.Parallel()
	for _, n := range []int{4, 8} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var signers []signature.SignerVerifier
			for range n {
				signers = append(signers, newSigner(t))
			}
			synctest.Test(t, func(t *testing.T) {
				registry, err := testregistry.New(testregistry.Options{NoReferrers: true})
				if err != nil {
					t.Fatal(err)
				}
				ref := reference(t, "localhost:1/a:v1")
				d := putImage(t, clientOf(t, registry), ref)
				errs := make([]error, n)
				var all sync.WaitGroup
				for i, signer := range signers {
					unsteady := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
						testregistry.Delay(rand.N(100*time.Millisecond))(w, r, next)
					}
					repo := clientOf(t, testregistry.Fault{Do: unsteady}.Wrap(registry))
					all.Go(func() { _, errs[i] = sign.Sign(t.Context(), repo, ref, signer, sign.Options{Legacy: true}) })
				}
				all.Wait()
				m, err := clientOf(t, registry).Manifest(t.Context(), ref.WithTag("sha256-"+d.Encoded()+".sig"))
				if err != nil {
					t.Fatal(err)
				}
				var content ocispec.Manifest
				if err := json.Unmarshal(m.Bytes, &content); err != nil {
					t.Fatal(err)
				}
				for i, signer := range signers {
					if errs[i] != nil {
						t.Errorf("signer %d: %v", i, errs[i])
					} else if !signedBy(t, registry, ref, content, signer) {
						t.Errorf("signer %d said that it signed, and its signature is gone", i)
					}
				}
				if len(content.Layers) != n {
					t.Errorf("%d signatures, want %d", len(content.Layers), n)
				}
			})
		})
	}
}

func signedBy(t *testing.T, registry http.Handler, ref image.Reference, m ocispec.Manifest, signer signature.SignerVerifier) bool {
	t.Helper()
	for _, layer := range m.Layers {
		payload, err := clientOf(t, registry).Blob(t.Context(), ref, layer, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := base64.StdEncoding.DecodeString(layer.Annotations["dev.cosignproject.cosign/signature"])
		if err != nil {
			t.Fatal(err)
		}
		public, err := signer.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := signature.LoadVerifier(public, crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if verifier.VerifySignature(strings.NewReader(string(sig)), strings.NewReader(string(payload))) == nil {
			return true
		}
	}
	return false
}

// overwritten is a repository in which another signer has always just written.
type overwritten struct {
	*memory
}

func (o *overwritten) PutManifest(_ context.Context, ref image.Reference, _ image.Manifest) error {
	o.add(ref.Tag(), fmt.Sprintf(`{"layers":[{"size":%d}]}`, len(o.manifests)))
	return nil
}

func TestLegacyOverwritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		repo := &overwritten{memory: newMemory()}
		repo.add("v1", `{}`)
		_, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), newSigner(t), sign.Options{Legacy: true})
		if !errors.Is(err, sign.ErrOverwritten) {
			t.Errorf("got %v, want ErrOverwritten", err)
		}
	})
}
