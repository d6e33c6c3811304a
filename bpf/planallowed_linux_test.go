// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// verifiedUnder is an image of file that was verified with a policy: one rule with
// these limits.
func verifiedUnder(t *testing.T, limits, file string) *verify.Verified {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fatal(err)
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	fatal(err)
	dir := t.TempDir()
	fatal(os.WriteFile(filepath.Join(dir, "k.pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	text := "version: 1\nrules:\n- {repository: registry.example/x, keys: [k.pub], " + limits + "}\n"
	fatal(os.WriteFile(filepath.Join(dir, "p.yaml"), []byte(text), 0o600))
	policy, err := verify.LoadPolicy(filepath.Join(dir, "p.yaml"))
	fatal(err)
	object, err := os.ReadFile(file)
	fatal(err)
	ref, err := image.ParseReference("registry.example/x:v1")
	fatal(err)
	config := []byte("{}")
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q,"size":2}}`, digest.FromBytes(config))
	m := image.Manifest{Bytes: raw}
	m.Descriptor.Digest, m.Descriptor.Size = digest.FromBytes(raw), int64(len(raw))
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":""},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`,
		m.Descriptor.Digest)
	sum := sha256.Sum256(payload)
	signature, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	fatal(err)
	v, err := verify.Check(t.Context(), &pull.Image{
		Reference: ref, Root: m, Manifest: m, Config: config,
		Objects: []pull.Object{{File: filepath.Base(file), Digest: digest.FromBytes(object).String(), Bytes: object}},
		Candidates: []pull.Candidate{{Kind: pull.KindLegacy, Payload: payload, Annotations: map[string]string{
			schemas.AnnotationCosignSignature: base64.StdEncoding.EncodeToString(signature),
		}}},
	}, policy)
	fatal(err)
	return v
}

// TestPlanAllowed: what flags choose is held against the policy before anything
// touches the kernel.
func TestPlanAllowed(t *testing.T) {
	for _, tt := range []struct {
		name, limits, file string
		opts               RunOptions
		want               string // "" when it may be run
	}{
		{"as it is", "allow: {types: [xdp], hooks: [xdp], mapMemory: 64Mi}", objCounter, RunOptions{Iface: "eth0"}, ""},
		{"no type, by its hook", "allow: {types: [kprobe]}", objUnknown, RunOptions{Attach: attachments(t, "lost=kprobe:vfs_read")}, ""},
		{"another type, by its hook", "allow: {types: [xdp]}", objUnknown, RunOptions{Attach: attachments(t, "lost=kprobe:vfs_read")}, `program "lost" is of type kprobe`},
		{"another hook, by a flag", "allow: {hooks: [xdp]}", objUnknown, RunOptions{Attach: attachments(t, "lost=kprobe:vfs_read")}, `"lost" may not be attached to hook kprobe`},
		{"nowhere", "allow: {hooks: [xdp]}", objUnknown, RunOptions{Attach: attachments(t, "lost=none")}, ""},
		{"larger maps, by a flag", "allow: {mapMemory: 64Mi}", objCounter, RunOptions{Iface: "eth0", MaxEntries: map[string]uint32{"pkts": 1 << 24}}, "the maps take up to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := verifiedUnder(t, tt.limits, tt.file)
			_, err := newPlan(v, tt.opts)
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, verify.ErrNotTrusted) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestRecheck: what runs, under the limits there are now.
func TestRecheck(t *testing.T) {
	rec := schemas.Instance{
		Programs:   []schemas.InstanceProgram{{Name: "lost", Type: "kprobe"}},
		Links:      []schemas.InstanceLink{{Program: "lost", Hook: "kprobe", Target: "vfs_read"}},
		MaxEntries: map[string]uint32{},
	}
	larger := schemas.Instance{MaxEntries: map[string]uint32{"pkts": 1 << 24}}
	for _, tt := range []struct {
		name, limits, file string
		rec                schemas.Instance
		want               string
	}{
		{"allowed", "allow: {types: [kprobe], hooks: ['kprobe:vfs_*']}", objUnknown, rec, ""},
		{"type", "allow: {types: [xdp]}", objUnknown, rec, "is of type kprobe"},
		{"place", "allow: {hooks: ['kprobe:tcp_*']}", objUnknown, rec, `may not be attached to "kprobe:vfs_read"`},
		{"maps", "allow: {mapMemory: 64Mi}", objCounter, larger, "the maps take up to"},
		{"maps as they are", "allow: {mapMemory: 64Mi}", objCounter, schemas.Instance{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := new(Manager).Recheck(verifiedUnder(t, tt.limits, tt.file), tt.rec)
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, verify.ErrNotTrusted) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
