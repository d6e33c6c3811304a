// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"go/build"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	bpfbuild "github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

const password = "interop"

// cosign is one version of the real command.
type cosign struct {
	path  string
	major int
	home  string // a home folder of its own, without the public trust root
}

// findCosign looks for the binary where `go install` or a person puts it.
func findCosign(t *testing.T, major int) cosign {
	t.Helper()
	name := fmt.Sprintf("cosign%d", major)
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join(build.Default.GOPATH, "bin", name)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIP-REASON: %s is neither in PATH nor in GOPATH/bin; `make test` installs it", name)
	}
	c := cosign{path: path, major: major, home: t.TempDir()}
	root := `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`
	if err := os.WriteFile(c.trustedRoot(), []byte(root), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c cosign) trustedRoot() string { return filepath.Join(c.home, "trusted_root.json") }

func (c cosign) run(t *testing.T, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.path, args...)
	cmd.Dir = c.home
	// Nothing answers at that mirror: the public trust root is not asked for.
	cmd.Env = append(os.Environ(), "COSIGN_PASSWORD="+password, "HOME="+c.home, "TUF_MIRROR=http://127.0.0.1:1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cosign%d %s: %w\n%s", c.major, strings.Join(args, " "), err, out)
	}
	return nil
}

// sign runs `cosign sign` or `cosign attest` (verb) without the public
// services.
func (c cosign) sign(t *testing.T, verb, key, ref string, legacy bool, more ...string) {
	t.Helper()
	args := append([]string{verb, "--key", key, "--tlog-upload=false", "-y"}, more...)
	switch {
	case c.major == 2 && !legacy:
		args = append(args, "--new-bundle-format")
	case c.major == 3:
		args = append(args, "--use-signing-config=false")
		if legacy {
			args = append(args, "--new-bundle-format=false")
		}
	}
	if err := c.run(t, append(args, ref)...); err != nil {
		t.Fatal(err)
	}
}

func (c cosign) verify(t *testing.T, public, ref string, legacy bool, more ...string) error {
	t.Helper()
	args := append([]string{"verify", "--key", public, "--insecure-ignore-tlog"}, more...)
	if c.major == 2 && !legacy {
		args = append(args, "--new-bundle-format", "--trusted-root", c.trustedRoot())
	}
	return c.run(t, append(args, ref)...)
}

// keyFiles are the paths of a private and a public key of some kind.
type keyFiles struct{ kind, private, public string }

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// ourKeys is a pair of bpfimg's own making.
func ourKeys(t *testing.T) keyFiles {
	t.Helper()
	pair, err := sign.GenerateKeyPair([]byte(password))
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "ours")
	writeFile(t, prefix+".key", pair.PrivatePEM)
	writeFile(t, prefix+".pub", pair.PublicPEM)
	return keyFiles{kind: filepath.Base(prefix), private: prefix + ".key", public: prefix + ".pub"}
}

// generated is a pair of cosign's own making, imported one of a plain key that
// cosign has encrypted.
func (c cosign) generated(t *testing.T) keyFiles {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "theirs")
	if err := c.run(t, "generate-key-pair", "--output-key-prefix", prefix); err != nil {
		t.Fatal(err)
	}
	return keyFiles{kind: filepath.Base(prefix), private: prefix + ".key", public: prefix + ".pub"}
}

func (c cosign) imported(t *testing.T, private any) keyFiles {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "imported")
	writeFile(t, prefix+".pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err := c.run(t, "import-key-pair", "--key", prefix+".pem", "--output-key-prefix", prefix); err != nil {
		t.Fatal(err)
	}
	return keyFiles{kind: filepath.Base(prefix), private: prefix + ".key", public: prefix + ".pub"}
}

// pairs has one key pair of every kind cosign signs with.
func (c cosign) pairs(t *testing.T) map[string]keyFiles {
	t.Helper()
	onCurve := func(curve elliptic.Curve) *ecdsa.PrivateKey {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return private
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]keyFiles{
		"ours": ourKeys(t), "generated": c.generated(t),
		"P-384": c.imported(t, onCurve(elliptic.P384())), "P-521": c.imported(t, onCurve(elliptic.P521())), "Ed25519": c.imported(t, ed), "RSA": c.imported(t, rsaKey),
	}
}

// site is a registry on loopback with our client.
type site struct {
	address string
	client  *image.Registry
	count   int
}

func newSite(t *testing.T, opts testregistry.Options) *site {
	t.Helper()
	handler, err := testregistry.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := image.NewRegistry(image.RegistryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &site{address: strings.TrimPrefix(server.URL, "http://"), client: client}
}

// fresh pushes an unsigned image into a repository of its own.
func (s *site) fresh(t *testing.T) image.Reference {
	t.Helper()
	object, err := os.ReadFile("../examples/xdp-counter/counter.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	s.count++
	ref, err := image.ParseReference(fmt.Sprintf("%s/net/xdp-%d:v1", s.address, s.count))
	if err != nil {
		t.Fatal(err)
	}
	inputs := []bpfbuild.Input{{Name: "counter.bpf.o", Bytes: object}}
	result, err := bpfbuild.Build(t.Context(), s.client, ref, inputs, bpfbuild.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ref.WithDigest(result.Manifest.Descriptor.Digest.String())
}

// signersByFile has the private keys that were read, a function by path: reading
// one takes scrypt a quarter of a second and 64 MiB.
var signersByFile sync.Map

// signerOf reads a private key file, once.
func signerOf(t *testing.T, file string) signature.SignerVerifier {
	t.Helper()
	read, _ := signersByFile.LoadOrStore(file, sync.OnceValues(func() (signature.SignerVerifier, error) {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return sign.LoadKey(data, []byte(password))
	}))
	load, ok := read.(func() (signature.SignerVerifier, error))
	if !ok {
		t.Fatalf("a %T among the keys", read)
	}
	signer, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// sign signs ref with our code.
func (s *site) sign(t *testing.T, keys keyFiles, ref image.Reference, opts sign.Options) {
	t.Helper()
	if _, err := sign.Sign(t.Context(), s.client, ref, signerOf(t, keys.private), opts); err != nil {
		t.Fatal(err)
	}
}

// check fetches and verifies ref with our code.
func (s *site) check(ctx context.Context, public string, ref image.Reference) (*verify.Verified, error) {
	keys, err := verify.LoadKeys(public)
	if err != nil {
		return nil, err
	}
	img, err := pull.Fetch(ctx, s.client, ref, pull.Options{})
	if err != nil {
		return nil, err
	}
	return verify.Check(ctx, img, keys)
}

// checkFormat fails unless ref is trusted through a signature of this form.
func (s *site) checkFormat(t *testing.T, public string, ref image.Reference, legacy bool) {
	t.Helper()
	v, err := s.check(t.Context(), public, ref)
	if err != nil {
		t.Fatal(err)
	}
	want := "bundle"
	if legacy {
		want = "legacy"
	}
	if got := v.Signers()[0].Format; got != want {
		t.Errorf("accepted a %s signature, want %s", got, want)
	}
}

var forms = []struct {
	name   string
	legacy bool
}{{"bundle", false}, {"legacy", true}}

// TestInterop: both cosigns verify what we sign, and we what they sign, in both
// forms, with every kind of key, with and without the referrers API.
func TestInterop(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("cosign%d", major), func(t *testing.T) {
			c := findCosign(t, major)
			stranger := ourKeys(t)
			for kind, keys := range c.pairs(t) {
				for _, form := range forms {
					t.Run(kind+" "+form.name, func(t *testing.T) {
						s := newSite(t, testregistry.Options{NoReferrers: kind == "generated"})
						t.Run("ours", func(t *testing.T) { oursVerifiedByThem(t, c, s, keys, stranger, form.legacy) })
						t.Run("theirs", func(t *testing.T) { theirsVerifiedByUs(t, c, s, keys, stranger, form.legacy) })
					})
				}
			}
		})
	}
}

func oursVerifiedByThem(t *testing.T, c cosign, s *site, keys, stranger keyFiles, legacy bool) {
	ref := s.fresh(t)
	s.sign(t, keys, ref, sign.Options{Legacy: legacy, Annotations: map[string]string{"build": "7"}})
	if err := c.verify(t, keys.public, ref.String(), legacy, "-a", "build=7"); err != nil {
		t.Error(err)
	}
	s.checkFormat(t, keys.public, ref, legacy)
	if keys.kind != "ours" { // what follows does not depend on the kind of key
		return
	}
	// cosign 2 does not look at the annotations of a bundle.
	if err := c.verify(t, keys.public, ref.String(), legacy, "-a", "build=8"); err == nil && (legacy || c.major > 2) {
		t.Error("cosign does not see the annotation")
	}
	if err := c.verify(t, stranger.public, ref.String(), legacy); err == nil {
		t.Error("cosign accepts another key")
	}
}

func theirsVerifiedByUs(t *testing.T, c cosign, s *site, keys, stranger keyFiles, legacy bool) {
	ref := s.fresh(t)
	c.sign(t, "sign", keys.private, ref.String(), legacy, "-a", "build=7")
	s.checkFormat(t, keys.public, ref, legacy)
	if _, err := s.check(t.Context(), stranger.public, ref); !errors.Is(err, verify.ErrNotTrusted) {
		t.Errorf("another key: %v, want ErrNotTrusted", err)
	}
	if keys.kind != "ours" {
		return
	}
	// Ours beside theirs: neither replaces the other, for us or for them.
	s.sign(t, stranger, ref, sign.Options{Legacy: legacy})
	for _, k := range []keyFiles{keys, stranger} {
		s.checkFormat(t, k.public, ref, legacy)
		if err := c.verify(t, k.public, ref.String(), legacy); err != nil {
			t.Error(err)
		}
	}
}

// TestAttestationIsNoSignature: cosign's attestation by the very key that is
// trusted does not make the image trusted.
func TestAttestationIsNoSignature(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3} {
		for _, form := range forms {
			t.Run(fmt.Sprintf("cosign%d %s", major, form.name), func(t *testing.T) {
				c, keys, s := findCosign(t, major), ourKeys(t), newSite(t, testregistry.Options{})
				ref := s.fresh(t)
				predicate := filepath.Join(t.TempDir(), "predicate.json")
				writeFile(t, predicate, []byte(`{"a":1}`))
				c.sign(t, "attest", keys.private, ref.String(), form.legacy, "--predicate", predicate, "--type", "custom")
				_, err := s.check(t.Context(), keys.public, ref)
				const want = "is an attestation"
				if !errors.Is(err, verify.ErrNotTrusted) || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one with %q", err, want)
				}
			})
		}
	}
}

// TestRoundTrip needs no other program: build, sign, fetch, verify, in both
// forms at once, and once more after the tag moved on.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	keys := ourKeys(t)
	for _, noReferrers := range []bool{false, true} {
		t.Run(fmt.Sprintf("noReferrers=%v", noReferrers), func(t *testing.T) {
			s := newSite(t, testregistry.Options{NoReferrers: noReferrers})
			ref := s.fresh(t)
			if _, err := s.check(t.Context(), keys.public, ref); !errors.Is(err, verify.ErrNotTrusted) {
				t.Fatalf("unsigned: %v, want ErrNotTrusted", err)
			}
			for _, legacy := range []bool{false, true, false} {
				s.sign(t, keys, ref, sign.Options{Legacy: legacy})
			}
			v, err := s.check(t.Context(), keys.public, ref)
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Signers()) != 3 || len(v.Warnings()) != 0 {
				t.Errorf("signers %v, warnings %v", v.Signers(), v.Warnings())
			}
			object, err := os.ReadFile("../examples/xdp-counter/counter.bpf.o")
			if err != nil {
				t.Fatal(err)
			}
			if got := v.Objects(); len(got) != 1 || !bytes.Equal(got[0].Bytes, object) {
				t.Error("the verified bytes are not those that were built")
			}
		})
	}
}
