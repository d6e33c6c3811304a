// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxObjectMemory is what an image's objects may cost over what everything may, for
// each byte of theirs, and at most in all.
const (
	memoryPerObjectByte = 3
	maxObjectMemory     = 192 << 20
)

// TestLargeObjects: what an image's objects cost is bounded by their size, and many
// small ones cost no more than anything else.
func TestLargeObjects(t *testing.T) {
	m := newMeasuredCommand(t)
	small := verifytest.Must[[]byte](t)(os.ReadFile("../../examples/xdp-counter/counter.bpf.o"))
	many := m.buildMany(small, 1000)
	noise := make([]byte, 30<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // it never fails
	// Below each name is one object; nil: 1000 small ones.
	objects := map[string][]byte{"many": nil, "large": append(bytes.Clone(small), noise...), "zeros": append(bytes.Clone(small), make([]byte, 60<<20)...)}
	images := map[string]*victim{}
	for i, row := range []struct {
		name    string
		object  string
		command string
		code    int
		want    string
	}{
		{name: "1000 objects, pulled", object: "many", command: "pull --key cosign.pub", want: "sha256:"},
		{name: "1000 objects, verified", object: "many", command: "verify --key cosign.pub", want: "verified"},
		{name: "1000 objects, inspected", object: "many", command: "inspect", want: "xdp_00999"},
		{name: "object of 30 MiB, pulled", object: "large", command: "pull --key cosign.pub", want: "sha256:"},
		{name: "object of 30 MiB, verified", object: "large", command: "verify --key cosign.pub", want: "verified"},
		{name: "object of 30 MiB, inspected", object: "large", command: "inspect", want: "xdp_count"},
		{name: "object of 60 MiB that is packed to nothing", object: "zeros", command: "pull --key cosign.pub", code: exitFailed, want: "over the limit"},
	} {
		t.Run(row.name, func(t *testing.T) {
			object, v := objects[row.object], images[row.object]
			switch {
			case v != nil:
			case object == nil:
				v = m.newVictim(t, "team/"+row.object)
				v.sign(v.copy(many, v.ref))
			default:
				v = m.newVictim(t, "team/"+row.object)
				v.sign(v.contain(object))
			}
			images[row.object] = v
			args := append([]string{"--root", "root" + strconv.Itoa(i)}, strings.Fields(row.command)...)
			out, kib := m.measure(append(args, v.ref.String())...)
			if out.code != row.code || !strings.Contains(out.stdout+out.stderr, row.want) {
				t.Errorf("exit code %d, want %d and %q:\n%.500s%.500s", out.code, row.code, row.want, out.stdout, out.stderr)
			}
			allowed := maxExtraMemory + int64(min(memoryPerObjectByte*len(object), maxObjectMemory))>>10
			t.Logf("%d KiB over the %d KiB of an idle command; %d are allowed", kib-m.idle, m.idle, allowed)
			if kib-m.idle > allowed {
				t.Errorf("took %d KiB over the %d KiB of an idle command; %d are allowed", kib-m.idle, m.idle, allowed)
			}
		})
	}
}

// TestObjectsThatNeverLoad: what no kernel could load is not kept.
func TestObjectsThatNeverLoad(t *testing.T) {
	r := newAttackRig(t)
	good := verifytest.Must[[]byte](t)(os.ReadFile("../../examples/xdp-counter/counter.bpf.o"))
	other := bytes.Clone(good)
	other[18], other[19] = 62, 0 // the machine: x86-64 (System V ABI, "ELF Header")
	for i, row := range []struct {
		name   string
		object []byte
		want   string
	}{
		{name: "object of no bytes", object: []byte{}, want: "an empty file"},
		{name: "object of zeros", object: make([]byte, 4096), want: "not an ELF file"},
		{name: "object that is text", object: []byte("#!/bin/sh\n"), want: "not an ELF file"},
		{name: "object that is cut", object: good[:len(good)/2], want: "object"},
		{name: "object for another machine", object: other, want: "object"},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := r.newVictim(t, "team/app"+strconv.Itoa(i))
			v.sign(v.contain(row.object))
			root := "root" + strconv.Itoa(i)
			for _, trust := range []string{"", "--key cosign.pub"} {
				out := r.command(append(append([]string{"--root", root, "pull"}, strings.Fields(trust)...), v.ref.String())...)
				if out.code != exitFailed || !strings.Contains(out.stderr, row.want) || !strings.Contains(out.stderr, "counter.bpf.o") {
					t.Errorf("%s: exit code %d, want %q:\n%s%s", trust, out.code, row.want, out.stdout, out.stderr)
				}
				if out := r.command("--root", root, "images", "-o", "json"); strings.Contains(out.stdout, v.ref.Name()) {
					t.Errorf("it is kept:\n%s", out.stdout)
				}
			}
		})
	}
}

// buildMany makes an image of n objects like the one, whose program is xdp_count.
func (m *measuredCommand) buildMany(object []byte, n int) image.Reference {
	m.t.Helper()
	const name = "localhost/attack/app:many"
	args := []string{"--root", "ci", "build", "-t", name, "--platform", "linux/amd64"}
	for i := range n {
		file := fmt.Sprintf("o%05d.bpf.o", i)
		m.write(file, bytes.ReplaceAll(object, []byte("xdp_count"), fmt.Appendf(nil, "xdp_%05d", i)))
		args = append(args, file)
	}
	if out := m.command(args...); out.code != exitDone {
		m.t.Fatalf("building: %s", out.stderr)
	}
	return verifytest.Must[image.Reference](m.t)(image.ParseReference(name))
}

// contain puts the object into the image at v1, in place of its own.
func (v *victim) contain(object []byte) ocispec.Descriptor {
	v.t.Helper()
	var packed bytes.Buffer
	hash := digest.Canonical.Digester()
	z := verifytest.Must[*gzip.Writer](v.t)(gzip.NewWriterLevel(&packed, gzip.BestSpeed))
	w := tar.NewWriter(io.MultiWriter(z, hash.Hash()))
	if err := w.WriteHeader(&tar.Header{Name: "counter.bpf.o", Mode: 0o644, Size: int64(len(object)), Format: tar.FormatUSTAR}); err != nil {
		v.t.Fatal(err)
	}
	verifytest.Must[int](v.t)(w.Write(object))
	if err := w.Close(); err != nil {
		v.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		v.t.Fatal(err)
	}
	m := v.read(v.good)
	old := verifytest.Must[[]byte](v.t)(v.repo.Blob(v.t.Context(), v.ref, m.Config, image.MaxConfig))
	var config map[string]json.RawMessage
	if err := json.Unmarshal(old, &config); err != nil {
		v.t.Fatal(err)
	}
	config["rootfs"] = mustJSON(v.t, ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{hash.Digest()}})
	m.Config = v.blob(m.Config.MediaType, mustJSON(v.t, config))
	m.Layers = []ocispec.Descriptor{v.blob(ocispec.MediaTypeImageLayerGzip, packed.Bytes())}
	return v.manifest("v1", m)
}
