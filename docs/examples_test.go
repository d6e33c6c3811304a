// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/verify"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

const (
	objectFile = "../examples/xdp-counter/counter.bpf.o"
	buildFile  = "../examples/xdp-counter/bpfimg.yaml"
)

// kit is a store with the example image in it.
type kit struct {
	t     *testing.T
	store *image.Store
	ref   image.Reference
	built build.Result
}

func newKit(t *testing.T) *kit {
	t.Helper()
	store, err := image.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	k := &kit{t: t, store: store, ref: reference(t, "registry.example/net/xdp-counter:v1")}
	k.built = k.build(k.ref)
	return k
}

func reference(t *testing.T, s string) image.Reference {
	t.Helper()
	ref, err := image.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// build builds the example as `SOURCE_DATE_EPOCH= bpfimg build` does.
func (k *kit) build(ref image.Reference) build.Result {
	k.t.Helper()
	return k.buildAs(ref, build.Options{})
}

// buildAs builds it with other options, the build file aside.
func (k *kit) buildAs(ref image.Reference, opts build.Options) build.Result {
	k.t.Helper()
	inputs, given := k.inputs()
	opts.File = given.File
	result, err := build.Build(k.t.Context(), k.store, ref, inputs, opts)
	if err != nil {
		k.t.Fatal(err)
	}
	return result
}

// inputs are the example's object and build file.
func (k *kit) inputs() ([]build.Input, build.Options) {
	k.t.Helper()
	file, err := build.ReadFile(buildFile, read(k.t, buildFile))
	if err != nil {
		k.t.Fatal(err)
	}
	return []build.Input{{Name: "counter.bpf.o", Bytes: read(k.t, objectFile)}}, build.Options{File: file}
}

func (k *kit) blob(desc ocispec.Descriptor) []byte {
	k.t.Helper()
	data, err := k.store.Blob(k.t.Context(), k.ref, desc, image.MaxLayer)
	if err != nil {
		k.t.Fatal(err)
	}
	return data
}

func (k *kit) manifest(ref image.Reference) (image.Manifest, ocispec.Manifest) {
	k.t.Helper()
	m, err := k.store.Manifest(k.t.Context(), ref)
	if err != nil {
		k.t.Fatal(err)
	}
	var parsed ocispec.Manifest
	if err := json.Unmarshal(m.Bytes, &parsed); err != nil {
		k.t.Fatal(err)
	}
	return m, parsed
}

// description is the label of the example that has it.
func (k *kit) description() string {
	k.t.Helper()
	_, parsed := k.manifest(k.ref)
	var config ocispec.Image
	if err := json.Unmarshal(k.blob(parsed.Config), &config); err != nil {
		k.t.Fatal(err)
	}
	return config.Config.Labels[schemas.LabelDescription]
}

// examples are the blocks that the code writes, by name.
func examples(t *testing.T) map[string]string {
	k := newKit(t)
	m, parsed := k.manifest(k.ref)
	config, layer := k.blob(parsed.Config), k.blob(parsed.Layers[0])
	validate(t, "config", config)
	description := k.description()
	validate(t, "description", []byte(description))
	all := map[string]string{
		"digests": fmt.Sprintf("object    sha256:%s\nlayer     %s\nconfig    %s\nmanifest  %s\n",
			strings.TrimPrefix(k.built.Description.Objects[0].Digest, "sha256:"), parsed.Layers[0].Digest, parsed.Config.Digest, m.Descriptor.Digest),
		"sizes":       sizes(parsed.Layers[0].Size, parsed.Config.Size, m.Descriptor.Size),
		"manifest":    indent(t, m.Bytes),
		"config":      short(t, config, description),
		"description": indent(t, []byte(description)),
		"layer":       listing(t, layer),
		"index":       k.index(),
		"btf":         k.btf(),
		"buildfile":   string(read(t, buildFile)),
	}
	for name, text := range k.signatures() {
		all[name] = text
	}
	for name, text := range k.forms() {
		all[name] = text
	}
	return all
}

func sizes(layer, config, manifest int64) string {
	return fmt.Sprintf("layer     %d bytes\nconfig    %d bytes\nmanifest  %d bytes\ntogether  %d bytes\n", layer, config, manifest, layer+config+manifest)
}

func indent(t *testing.T, data []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// short is data with its Description cut short.
func short(t *testing.T, data []byte, description string) string {
	t.Helper()
	quoted, err := json.Marshal(description)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, quoted) {
		t.Fatalf("the description is not in it: %s", data)
	}
	return indent(t, bytes.ReplaceAll(data, quoted, []byte(`"{\"schemaVersion\":1,\"name\":\"xdp-counter\", …}"`)))
}

// listing shows a layer: its gzip header and the entries of the archive.
func listing(t *testing.T, layer []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	archive, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fmt.Fprintf(&out, "gzip header   % x\nfirst block   % x\narchive       %d bytes\n", layer[:10], layer[10:15], len(archive))
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "entry         name %q, type %q, mode %04o, uid %d, gid %d, owner %q, group %q, mtime %d, size %d\n",
			h.Name, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime.Unix(), h.Size)
		fmt.Fprintf(&out, "magic         %q\n", archive[257:265])
	}
}

// index builds the example for two platforms and pulls each of them.
func (k *kit) index() string {
	t := k.t
	t.Helper()
	ref := reference(t, "registry.example/net/xdp-counter:all")
	inputs, opts := k.inputs()
	built, err := build.Index(t.Context(), k.store, ref, []build.Variant{
		{Platform: "linux/arm64", Inputs: inputs}, {Platform: "linux/amd64", Inputs: inputs},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	if built.Images[0].Manifest.Descriptor.Digest != k.built.Manifest.Descriptor.Digest {
		t.Errorf("the image for amd64 is %s, alone it is %s", built.Images[0].Manifest.Descriptor.Digest, k.built.Manifest.Descriptor.Digest)
	}
	for i, asked := range []string{"linux/amd64", "linux/arm64/v8"} {
		img, err := pull.Fetch(t.Context(), k.store, ref, pull.Options{Platform: asked})
		if err != nil {
			t.Fatal(err)
		}
		if img.Manifest.Descriptor.Digest != built.Images[i].Manifest.Descriptor.Digest || img.Format != pull.FormatBpfimg {
			t.Errorf("%s: got %s, a %s", asked, img.Manifest.Descriptor.Digest, img.Format)
		}
	}
	var missing *pull.PlatformError
	if _, err := pull.Fetch(t.Context(), k.store, ref, pull.Options{Platform: "linux/s390x"}); !errors.As(err, &missing) {
		t.Errorf("a platform that is not there: %v", err)
	}
	return indent(t, built.Manifest.Bytes)
}

// signatures signs the example in both ways, with a key made of zeros so that
// the bytes are always the same, and verifies it.
func (k *kit) signatures() map[string]string {
	t := k.t
	t.Helper()
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signer, err := signature.LoadDefaultSignerVerifier(private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	signed := map[bool]ocispec.Descriptor{}
	for _, legacy := range []bool{false, true} {
		result, err := sign.Sign(t.Context(), k.store, k.ref, signer, sign.Options{Legacy: legacy, Created: time.Unix(0, 0)})
		if err != nil {
			t.Fatal(err)
		}
		signed[legacy] = result.Signature
	}
	k.verify(public)
	referrer, bundles := k.manifest(k.ref.WithDigest(signed[false].Digest.String()))
	tag := strings.Replace(k.built.Manifest.Descriptor.Digest.String(), ":", "-", 1) + ".sig"
	legacy, payloads := k.manifest(k.ref.WithTag(tag))
	bundle := k.blob(bundles.Layers[0])
	attested, envelope := k.legacyAttestation(signer, public)
	return map[string]string{
		"key":         string(public),
		"referrer":    indent(t, referrer.Bytes),
		"bundle":      indent(t, bundle),
		"statement":   indent(t, payload(t, bundle)),
		"legacy":      indent(t, legacy.Bytes),
		"payload":     indent(t, k.blob(payloads.Layers[0])),
		"attestation": k.attestation(signer, public),

		"legacy-attestation": attested,
		"envelope":           envelope,
	}
}

// attestation attests something of the example and returns the statement, once a
// policy that requires it was satisfied.
func (k *kit) attestation(signer signature.SignerVerifier, public []byte) string {
	t := k.t
	t.Helper()
	predicate, err := sign.NewPredicate("https://example.com/review/v1", []byte(`{"reviewer":"net-team","verdict":"approved"}`))
	if err != nil {
		t.Fatal(err)
	}
	result, err := sign.Attest(t.Context(), k.store, k.ref, signer, predicate, sign.Options{Created: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	m, parsed := k.manifest(k.ref.WithDigest(result.Signature.Digest.String()))
	if parsed.Annotations["dev.sigstore.bundle.predicateType"] != predicate.Type {
		t.Errorf("the manifest names no type: %s", m.Bytes)
	}
	k.approved(public, predicate.Type)
	return indent(t, payload(t, k.blob(parsed.Layers[0])))
}

// approved checks that a policy is satisfied that wants a review by the key.
func (k *kit) approved(public []byte, predicateType string) {
	t := k.t
	t.Helper()
	dir := t.TempDir()
	policy := "version: 1\nrules:\n- repository: " + k.ref.Name() + "\n  keys: [k.pub]\n  attestations:\n" +
		"  - {type: \"" + predicateType + "\", condition: 'predicate.verdict == \"approved\"'}\n"
	for name, data := range map[string]string{"k.pub": string(public), "policy.yaml": policy} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust, err := verify.LoadPolicy(filepath.Join(dir, "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := pull.Fetch(t.Context(), k.store, k.ref, pull.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Check(t.Context(), img, trust); err != nil {
		t.Error(err)
	}
}

// payload is the statement in a bundle.
func payload(t *testing.T, bundle []byte) []byte {
	t.Helper()
	var envelope struct {
		DSSE struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &envelope); err != nil {
		t.Fatal(err)
	}
	return envelope.DSSE.Payload
}

// verify checks that both signatures are accepted.
func (k *kit) verify(public []byte) {
	t := k.t
	t.Helper()
	key, err := verify.ParseKey(public, "key")
	if err != nil {
		t.Fatal(err)
	}
	img, err := pull.Fetch(t.Context(), k.store, k.ref, pull.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.Check(t.Context(), img, verify.Keys{key})
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Signers(); len(got) != 2 || got[0].Format != "bundle" || got[1].Format != "legacy" {
		t.Errorf("proven are %v", got)
	}
}
