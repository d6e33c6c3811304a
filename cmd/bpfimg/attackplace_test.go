// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var amd64AndARM64 = []string{"linux/amd64", "linux/arm64"}

// sign attaches a good signature of any manifest to it.
func (v *victim) sign(subject ocispec.Descriptor) {
	v.t.Helper()
	v.attach(subject, v.key.Sign(v.t, signs(subject)))
}

// TestPlaceAttacks: what is signed is good, and what the registry serves in its
// place is not.
func TestPlaceAttacks(t *testing.T) {
	r := newAttackRig(t)
	for i, row := range placeAttacks(t) {
		t.Run(row.name, func(t *testing.T) { r.run(t, i, row) })
	}
}

func placeAttacks(t *testing.T) []attack {
	arm64 := append(byKey, "--platform", "linux/arm64")
	return []attack{
		{name: "index signed", prepare: func(v *victim) {
			v.sign(v.index("v1", amd64AndARM64, v.good, v.evil))
		}, want: "verified"},
		{name: "index signed, another with a swapped child under the tag", prepare: func(v *victim) {
			v.sign(v.index("v1", amd64AndARM64, v.good, v.good))
			v.index("v1", amd64AndARM64, v.evil, v.good)
		}, code: exitNotTrusted, want: "it has no signature"},
		{name: "index signed, its signature on one with a swapped child", prepare: func(v *victim) {
			signed := v.index("v1", amd64AndARM64, v.good, v.good)
			swapped := v.index("v1", amd64AndARM64, v.evil, v.good)
			v.attach(swapped, v.key.Sign(t, signs(signed)))
			v.attach(v.evil, v.key.Sign(t, signs(signed)))
		}, code: exitNotTrusted, want: "signs another image"},
		{name: "index signed, other bytes served for its child", prepare: func(v *victim) {
			v.sign(v.index("v1", amd64AndARM64, v.good, v.good))
			v.fault("/manifests/"+v.good.Digest.String(), testregistry.MoveTo("evil"), 0)
		}, code: exitFailed, want: "content does not match its digest"},
		{name: "index signed, other bytes served for a layer", prepare: func(v *victim) {
			v.sign(v.index("v1", amd64AndARM64, v.good, v.good))
			v.fault("/blobs/"+v.read(v.good).Layers[0].Digest.String(), testregistry.Corrupt(), 0)
		}, code: exitFailed, want: "content does not match its digest"},
		{name: "child signed but index not, another child asked for", prepare: func(v *victim) {
			v.index("v1", amd64AndARM64, v.good, v.evil)
			v.sign(v.good)
		}, args: arm64, code: exitNotTrusted, want: "it has no signature"},
		{name: "child signed but index not", prepare: func(v *victim) {
			v.index("v1", amd64AndARM64, v.good, v.evil)
			v.sign(v.good)
		}, code: exitNotTrusted, want: "alone, not the index"},
		{name: "child signed, asked for by its digest", prepare: func(v *victim) {
			v.index("v1", amd64AndARM64, v.good, v.evil)
			v.sign(v.good)
			v.ref = v.ref.WithDigest(v.good.Digest.String())
		}, want: "verified"},
		{name: "tag moved before the pull", prepare: func(v *victim) {
			v.sign(v.good)
			v.fault("/manifests/v1", testregistry.MoveTo("evil"), 0)
		}, code: exitNotTrusted, want: "it has no signature"},
		{name: "tag moved during the pull", prepare: func(v *victim) {
			v.sign(v.good)
			v.fault("/manifests/v1", testregistry.MoveTo("evil"), 1)
		}, want: "verified"},
		{name: "signature served for a digest that moved", prepare: func(v *victim) {
			v.sign(v.good)
			v.ref = v.ref.WithDigest(v.evil.Digest.String())
			v.fault("/manifests/"+v.evil.Digest.String(), testregistry.MoveTo("v1"), 0)
		}, code: exitFailed, want: "content does not match its digest|instead of"},
	}
}

// TestLabelsThatLie: the signer's labels call the program what it is not. Its
// type is read from the bytes, and the lie is shown.
func TestLabelsThatLie(t *testing.T) {
	r := newAttackRig(t)
	v := r.newVictim(t, "team/liar")
	lying := v.relabel(v.good, func(labels map[string]string) {
		for _, key := range []string{schemas.LabelPrograms, schemas.LabelHooks, schemas.LabelDescription} {
			changed := strings.ReplaceAll(labels[key], `"xdp"`, `"socket_filter"`)
			if changed == labels[key] {
				t.Fatalf("%s does not hold the type: %s", key, labels[key])
			}
			labels[key] = changed
		}
	})
	v.sign(lying)
	out := r.command("verify", "--key", "cosign.pub", v.ref.String())
	if out.code != exitDone || !strings.Contains(out.stderr, `program "xdp_count" is a "socket_filter"`) || !strings.Contains(out.stderr, `it is a "xdp"`) {
		t.Errorf("exit code %d:\n%s%s", out.code, out.stdout, out.stderr)
	}
	for allowed, code := range map[string]int{"socket_filter": exitNotTrusted, "xdp": exitDone} {
		r.write(allowed+".yaml", []byte("version: 1\nrules: [{repository: "+v.ref.Name()+", keys: [cosign.pub], allow: {types: ["+allowed+"]}}]\n"))
		if out := r.command("verify", "--policy", allowed+".yaml", v.ref.String()); out.code != code {
			t.Errorf("%s allowed: exit code %d, want %d:\n%s%s", allowed, out.code, code, out.stdout, out.stderr)
		}
	}
	// The same labels, changed after the image was signed.
	if out := r.command("verify", "--key", "cosign.pub", v.ref.WithDigest(v.relabel(v.good, func(labels map[string]string) {
		labels[schemas.LabelPrograms] = "{}"
	}).Digest.String()).String()); out.code != exitNotTrusted {
		t.Errorf("exit code %d:\n%s", out.code, out.stderr)
	}
}

// relabel puts an image with other labels under the tag v1.
func (v *victim) relabel(of ocispec.Descriptor, change func(labels map[string]string)) ocispec.Descriptor {
	v.t.Helper()
	manifest := v.read(of)
	var config map[string]any
	raw := verifytest.Must[[]byte](v.t)(v.repo.Blob(v.t.Context(), v.ref, manifest.Config, image.MaxConfig))
	labels := map[string]string{}
	if err := json.Unmarshal(raw, &config); err != nil {
		v.t.Fatal(err)
	}
	inner, _ := config["config"].(map[string]any)
	for k, value := range inner["Labels"].(map[string]any) {
		labels[k], _ = value.(string)
	}
	change(labels)
	inner["Labels"] = labels
	manifest.Config = v.blob(manifest.Config.MediaType, verifytest.Must[[]byte](v.t)(json.Marshal(config)))
	return v.manifest("v1", manifest)
}

// read returns a manifest of the repository.
func (v *victim) read(of ocispec.Descriptor) ocispec.Manifest {
	v.t.Helper()
	m := verifytest.Must[image.Manifest](v.t)(v.repo.Manifest(v.t.Context(), v.ref.WithDigest(of.Digest.String())))
	var manifest ocispec.Manifest
	if err := json.Unmarshal(m.Bytes, &manifest); err != nil {
		v.t.Fatal(err)
	}
	return manifest
}
