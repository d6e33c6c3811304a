// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxExtraMemory is what an attack may cost over a command that does nothing, in
// KiB.
const maxExtraMemory = 64 << 10

// measuredCommand is bpfimg as people get it, without the race detector's memory,
// and the program that measures it.
type measuredCommand struct {
	*attackRig
	bpfimg, maxrss string
	idle           int64 // KiB
}

func newMeasuredCommand(t *testing.T) *measuredCommand {
	t.Helper()
	dir := t.TempDir()
	m := &measuredCommand{attackRig: newAttackRig(t), bpfimg: filepath.Join(dir, "bpfimg"), maxrss: filepath.Join(dir, "maxrss")}
	for file, source := range map[string]string{m.bpfimg: ".", m.maxrss: "./testdata/maxrss"} {
		// As the Makefile builds it: the packages are in the build cache already.
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs,grpcnotrace", "-ldflags", "-s -w", "-o", file, source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", source, err, out)
		}
	}
	out, idle := m.measure("version")
	if out.code != exitDone {
		t.Fatal(out.stderr)
	}
	m.idle = idle
	return m
}

// measure runs bpfimg and returns how it ended and the most memory it held.
func (m *measuredCommand) measure(args ...string) (outcome, int64) {
	m.t.Helper()
	file := filepath.Join(m.dir, "maxrss")
	out := m.execute(m.maxrss, append([]string{file, m.bpfimg}, args...)...)
	kib, err := strconv.ParseInt(string(verifytest.Must[[]byte](m.t)(os.ReadFile(file))), 10, 64)
	if err != nil {
		m.t.Fatal(err)
	}
	return out, kib
}

// exhaustion is one way to keep the node busy for ever, or to fill its memory.
type exhaustion struct {
	name    string
	prepare func(v *victim)
	// command is what asks for the image, whose reference is at {ref} or comes last;
	// default: verify by key.
	command string
	code    int
	want    string
}

// TestExhaustion: whatever a registry sends, the command ends, and it holds at
// most 64 MiB more than one that does nothing.
func TestExhaustion(t *testing.T) {
	m := newMeasuredCommand(t)
	for i, row := range append(exhaustions(t), attestationExhaustions(t)...) {
		t.Run(row.name, func(t *testing.T) {
			v := m.newVictim(t, "team/app"+strconv.Itoa(i))
			row.prepare(v)
			command := row.command
			if command == "" {
				command = "verify --key cosign.pub"
			}
			args := append([]string{"--root", "root" + strconv.Itoa(i)}, strings.Fields(command)...) // nothing is there yet
			if at := slices.Index(args, "{ref}"); at >= 0 {
				args[at] = v.ref.String()
			} else {
				args = append(args, v.ref.String())
			}
			out, kib := m.measure(args...)
			if out.code != row.code || !regexp.MustCompile(row.want).MatchString(out.stdout+out.stderr) {
				t.Errorf("exit code %d, want %d and %q:\n%s%s", out.code, row.code, row.want, out.stdout, out.stderr)
			}
			t.Logf("%d KiB over the %d KiB of an idle command", kib-m.idle, m.idle)
			if kib-m.idle > maxExtraMemory {
				t.Errorf("took %d KiB over the %d KiB of an idle command", kib-m.idle, m.idle)
			}
		})
	}
}

const hugeBundle = 300_000_000 // bytes

func exhaustions(t *testing.T) []exhaustion {
	everything := func(do testregistry.Action) func(v *victim) {
		return func(v *victim) {
			v.sign(v.good)
			v.fault("/", do, 0)
		}
	}
	slowly := testregistry.Drip(1, time.Second)
	return []exhaustion{
		{name: "300 MB bundle", prepare: func(v *victim) { v.attachHuge(hugeBundle) }, code: exitNotTrusted, want: "over the size limit"},
		{name: "300 MB bundle beside a good one", prepare: func(v *victim) {
			v.attachHuge(hugeBundle)
			v.sign(v.good)
		}, want: "verified"},
		{name: "bundle that says it is small and never ends", prepare: func(v *victim) {
			huge := v.attachHuge(1000)
			v.sign(v.good)
			v.fault("/blobs/"+huge.String(), testregistry.Flood("application/octet-stream", -1), 0)
		}, want: "verified"},
		{name: "sixty large bundles", prepare: func(v *victim) {
			for i := range 60 {
				v.attach(v.good, bytes.Repeat([]byte{byte('A' + i)}, 1_000_000))
			}
			v.sign(v.good)
		}, want: "verified"},
		{name: "sixty bundles of nothing but brackets", prepare: func(v *victim) {
			for i := range 60 {
				v.attach(v.good, append(bytes.Repeat([]byte(`{"a":[`), 10_000), byte('A'+i)))
			}
			v.sign(v.good)
		}, want: "verified"},
		{name: "10,000 referrers", prepare: func(v *victim) {
			v.sign(v.good)
			v.fault("/referrers/", testregistry.ManyReferrers(50, 9_950), 0)
		}, want: "verified"},
		{name: "10,000 referrers in front", prepare: func(v *victim) {
			v.sign(v.good)
			v.fault("/referrers/", testregistry.ManyReferrers(10_000, 0), 0)
		}, code: exitNotTrusted, want: "could not be fetched"},
		{name: "referrers API that never ends", prepare: func(v *victim) {
			v.sign(v.good)
			v.fault("/referrers/", testregistry.EndlessReferrers(), 0)
		}, code: exitNotTrusted, want: "could not be fetched"},
		{name: "referrers list that never ends", prepare: func(v *victim) {
			v.fault("/referrers/", testregistry.Flood(ocispec.MediaTypeImageIndex, -1), 0)
		}, code: exitNotTrusted, want: "over the size limit|more than the limit|is over"},
		{name: "referrer loop, verified", prepare: (*victim).loop, want: "verified"},
		{name: "referrer loop, pulled", prepare: (*victim).loop, command: "pull", want: "sha256:"},
		{name: "referrers with 64 MiB each, pulled", prepare: func(v *victim) {
			for i := range int64(6) {
				v.attachSpaces(64<<20 - i)
			}
			v.sign(v.good)
		}, command: "pull", want: "sha256:"},
		{name: "referrers that are listed as small and have 4 MiB each, pulled", prepare: func(v *victim) {
			v.attachPadded(20, 1000)
		}, command: "pull", want: "sha256:"},
		{name: "referrers with 4 MiB each, copied", prepare: func(v *victim) {
			v.attachPadded(20, image.MaxManifest)
		}, command: "copy {ref} oci:copied:v1", want: "sha256:"},
		{name: "index of manifests with 4 MiB each, copied", prepare: func(v *victim) {
			v.document("v1", ocispec.MediaTypeImageIndex, ocispec.Index{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
				Manifests: v.padded(20, image.MaxManifest),
			})
		}, command: "copy {ref} oci:copied:v2", code: exitFailed, want: "bytes together: over the size limit"},
		{name: "everything as large as may be at once, pulled", prepare: (*victim).everythingLarge, command: "pull", want: "sha256:"},
		{name: "referrer loop, shown as a tree", prepare: (*victim).loop, command: "tree", want: "sha256:"},
		{name: "manifest that never ends", prepare: func(v *victim) {
			v.fault("/manifests/v1", testregistry.Flood(ocispec.MediaTypeImageManifest, -1), 0)
		}, code: exitFailed, want: "over the size limit"},
		{name: "layer that never ends", prepare: func(v *victim) {
			v.sign(v.good)
			v.fault("/blobs/"+v.read(v.good).Layers[0].Digest.String(), testregistry.Flood("application/octet-stream", -1), 0)
		}, code: exitFailed, want: "over the size limit"},
		{name: "300 MB layer", prepare: func(v *victim) {
			m := v.read(v.good)
			m.Layers[0].Size = hugeBundle
			v.sign(v.manifest("v1", m))
		}, code: exitFailed, want: "over .* bytes|over the size limit"},
		{name: "one byte a second", prepare: everything(slowly), command: "verify --timeout 1s --key cosign.pub", code: exitFailed, want: deadlineHint},
		{name: "one byte a second, for signatures alone", prepare: func(v *victim) {
			v.sign(v.good)
			v.fault("/referrers/", slowly, 0)
		}, command: "verify --timeout 1s --key cosign.pub", code: exitFailed, want: deadlineHint},
		{name: "no answer at all", prepare: everything(testregistry.Hang()), command: "verify --timeout 1s --key cosign.pub", code: exitFailed, want: deadlineHint},
	}
}

// demanding writes a policy that asks for provenance of all images of the rig.
func (v *victim) demanding() {
	v.t.Helper()
	v.write("demanding.yaml", []byte(strings.Replace(demandsByKey, "REPO", v.host+"/team/*", 1)))
}

// attestationExhaustions are rows of [TestExhaustion].
func attestationExhaustions(t *testing.T) []exhaustion {
	const command = "verify --policy demanding.yaml"
	good := func(v *victim) attestation { return legacyAttestation(v.key.LegacyAttestation(t, attests(v.good))) }
	return []exhaustion{
		{name: "sixty large attestations", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			all := make([]attestation, 60)
			for i := range all {
				all[i].envelope = append([]byte(`{"payload":"`), bytes.Repeat([]byte{byte('A' + i)}, 1_000_000)...)
			}
			v.attest(v.good, append(all, good(v))...)
		}, want: "verified"},
		{name: "sixty attestations of nothing but brackets", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			all := make([]attestation, 60)
			for i := range all {
				all[i].envelope = append(bytes.Repeat([]byte(`{"a":[`), 10_000), byte('A'+i))
			}
			v.attest(v.good, append(all, good(v))...)
		}, want: "verified"},
		{name: "attestation that says it is small and never ends", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			junk := attestation{envelope: []byte("junk")}
			v.attest(v.good, junk, good(v))
			v.fault("/blobs/"+v.blob(schemas.MediaTypeEnvelope, junk.envelope).Digest.String(), testregistry.Flood("application/octet-stream", -1), 0)
		}, want: "verified"},
		{name: "list of attestations that never ends", command: command, prepare: func(v *victim) {
			v.demanding()
			v.sign(v.good)
			v.fault("/manifests/"+attestationTag(v.good), testregistry.Flood(ocispec.MediaTypeImageManifest, -1), 0)
		}, code: exitNotTrusted, want: "over the size limit"},
	}
}

const deadlineHint = "hint: the other side did not answer in time"

// attachHuge adds a referrer whose bundle is said to have so many bytes, which
// are served without end; it returns the bundle's digest.
func (v *victim) attachHuge(size int64) digest.Digest {
	v.t.Helper()
	layer := ocispec.Descriptor{MediaType: schemas.MediaTypeBundle, Digest: digest.FromString(v.ref.Name()), Size: size}
	v.manifest("", ocispec.Manifest{
		ArtifactType: schemas.MediaTypeBundle,
		Config:       v.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{layer},
		Subject:      &v.good,
	})
	v.fault("/blobs/"+layer.Digest.String(), testregistry.Flood("application/octet-stream", size), 0)
	return layer.Digest
}

// attachSpaces adds a referrer with one layer of so many bytes, which is what it
// says it is.
func (v *victim) attachSpaces(size int64) {
	v.t.Helper()
	data := bytes.Repeat([]byte(" "), int(size))
	layer := ocispec.Descriptor{MediaType: "application/x", Digest: digest.FromBytes(data), Size: size}
	v.manifest("", ocispec.Manifest{
		ArtifactType: "application/x", Config: v.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers: []ocispec.Descriptor{layer}, Subject: &v.good,
	})
	v.fault("/blobs/"+layer.Digest.String(), testregistry.Flood("application/octet-stream", size), 0)
}

// padded makes n manifests of 4 MiB each that refer to the good image, and returns
// them as a list that says size of each.
func (v *victim) padded(n int, size int64) (list []ocispec.Descriptor) {
	v.t.Helper()
	for i := range n {
		data := mustJSON(v.t, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			ArtifactType: schemas.MediaTypeBundle, Config: v.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
			Layers: []ocispec.Descriptor{}, Subject: &v.good, Annotations: map[string]string{"number": strconv.Itoa(i)},
		})
		data = append(data, bytes.Repeat([]byte(" "), image.MaxManifest-len(data))...)
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(data), Size: size}
		v.fault("/manifests/"+desc.Digest.String(), answering(http.StatusOK, desc.MediaType, string(data)), 0)
		list = append(list, desc)
	}
	return list
}

// everythingLarge makes the good image one of an index, and everything that is read of
// both as large as it may be, and different.
func (v *victim) everythingLarge() {
	v.t.Helper()
	pad := func(data []byte, size int) string {
		return string(append(data, bytes.Repeat([]byte(" "), size-len(data))...))
	}
	serve := func(name, mediaType, data string) ocispec.Descriptor {
		d := digest.FromString(data)
		for _, name := range []string{name, d.String()} {
			if name != "" {
				v.fault("/manifests/"+name, answering(http.StatusOK, mediaType, data), 0)
			}
		}
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(data))}
	}
	child := serve("", ocispec.MediaTypeImageManifest, pad(mustJSON(v.t, v.read(v.good)), image.MaxManifest))
	child.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	index := serve("v1", ocispec.MediaTypeImageIndex, pad(mustJSON(v.t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{child},
	}), image.MaxManifest))
	for _, subject := range []ocispec.Descriptor{index, child} {
		list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
		attached := func(name string, size int) ocispec.Descriptor {
			return serve("", ocispec.MediaTypeImageManifest, pad(mustJSON(v.t, ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: schemas.MediaTypeBundle,
				Config: v.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{},
				Subject:     &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
				Annotations: map[string]string{"name": name},
			}), size))
		}
		for i := range 128 {
			one := attached(strconv.Itoa(i), 16<<10)
			one.Size = 1000
			list.Manifests = append(list.Manifests, one)
		}
		v.fault("/referrers/"+subject.Digest.String(), answering(http.StatusOK, ocispec.MediaTypeImageIndex, pad(mustJSON(v.t, list), image.MaxManifest)), 0)
		for _, suffix := range []string{".sig", ".att"} {
			tag := "sha256-" + subject.Digest.Encoded() + suffix
			serve(tag, ocispec.MediaTypeImageManifest, pad(mustJSON(v.t, ocispec.Manifest{
				Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
				Config: v.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{}, Annotations: map[string]string{"tag": tag},
			}), 2<<20))
		}
	}
}

// attachPadded lists what padded makes as the referrers of everything.
func (v *victim) attachPadded(n int, size int64) {
	v.t.Helper()
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: v.padded(n, size)}
	v.fault("/referrers/", testregistry.Replace(mustJSON(v.t, list)), 0)
}

// loop makes the referrers of everything the image itself, its signature, and
// two referrers that refer to each other as far as that can be said.
func (v *victim) loop() {
	v.t.Helper()
	list := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	one := v.attach(v.good, []byte("one"))
	list.Manifests = append(list.Manifests, v.good, one, v.attach(one, []byte("two")))
	list.Manifests = append(list.Manifests, v.attach(v.good, v.key.Sign(v.t, signs(v.good))))
	v.fault("/referrers/", testregistry.Replace(verifytest.Must[[]byte](v.t)(json.Marshal(list))), 0)
}
