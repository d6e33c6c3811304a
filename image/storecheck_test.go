// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// damage changes one bit of a blob.
func damage(t *testing.T, s *Store, d digest.Digest) {
	t.Helper()
	data, err := os.ReadFile(s.blobPath(d))
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(s.blobPath(d), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, s *Store, d digest.Digest) {
	t.Helper()
	if err := os.Remove(s.blobPath(d)); err != nil {
		t.Fatal(err)
	}
}

// TestRepair breaks everything that an image and what is attached to it consist
// of, in each way, and has it fetched again.
func TestRepair(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, true)
	r := testClient(t, RegistryOptions{})
	ref := mustParse(t, host+"/a:v1")
	index, children, attached := putIndex(t, r, ref)
	s := newStore(t)
	if _, err := Copy(t.Context(), s, ref, r, ref, CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	all := slices.Collect(mapKeys(blobFiles(t, s)))
	if report, err := s.Check(t.Context()); err != nil || len(report.Problems) != 0 || report.Checked != len(all) {
		t.Fatalf("intact: got %+v, %v, want %d checked", report, err, len(all))
	}
	breaks := map[string]func(*testing.T, *Store, digest.Digest){problemDamaged: damage, problemMissing: remove}
	for want, hurt := range breaks {
		for _, d := range all {
			hurt(t, s, d)
			child := d == children[0].manifest.Descriptor.Digest || d == children[1].manifest.Descriptor.Digest
			if want == problemMissing && child {
				// A platform that is not there was not pulled; its blobs are strays.
				children[0].put(t, s, ref.WithDigest(children[0].manifest.Descriptor.Digest.String()))
				children[1].put(t, s, ref.WithDigest(children[1].manifest.Descriptor.Digest.String()))
				continue
			}
			report, err := s.Check(t.Context())
			if err != nil || len(report.Problems) != 1 || report.Problems[0].Digest != d || report.Problems[0].Problem != want ||
				!slices.ContainsFunc(report.Problems[0].Images, func(r Reference) bool { return r.Name() == ref.Name() }) {
				t.Fatalf("%s %s: got %+v, %v", d, want, report, err)
			}
			report, problems, err := s.Repair(t.Context(), r)
			if err != nil || problems != nil || len(report.Problems) != 1 || !report.Problems[0].Repaired {
				t.Fatalf("repairing %s %s: got %+v, %v, %v", d, want, report, problems, err)
			}
		}
	}
	checkArrived(t, s, ref, index, children, attached)
	for _, d := range all {
		damage(t, s, d)
	}
	report, problems, err := s.Repair(t.Context(), r)
	if err != nil || problems != nil || len(report.Problems) != len(all) {
		t.Errorf("all at once: got %d problems, want %d; %v, %v", len(report.Problems), len(all), problems, err)
	}
	checkArrived(t, s, ref, index, children, attached)
}

func mapKeys[K comparable, V any](m map[K]V) func(func(K) bool) {
	return func(yield func(K) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestRepairFails: what nobody has stays a problem, and what nobody needs goes.
func TestRepairFails(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, true)
	r := testClient(t, RegistryOptions{})
	s := newStore(t)
	ref := mustParse(t, host+"/never/pushed:v1")
	im := newImage(t, "local", nil)
	im.put(t, s, ref)
	damage(t, s, im.descs[1].Digest)
	stray := describe(ocispec.MediaTypeImageLayer, []byte("stray"))
	if err := s.PutBlob(t.Context(), ref, stray, []byte("stray"), ""); err != nil {
		t.Fatal(err)
	}
	damage(t, s, stray.Digest)
	report, problems, err := s.Repair(t.Context(), r)
	if err != nil || !errors.Is(problems, ErrNotFound) || len(report.Problems) != 2 {
		t.Fatalf("got %+v, %v, %v", report, problems, err)
	}
	for _, p := range report.Problems {
		if p.Repaired != (p.Digest == stray.Digest) {
			t.Errorf("got %+v", p)
		}
	}
	if blobFiles(t, s)[stray.Digest] {
		t.Error("the damaged stray is still there")
	}
	if !blobFiles(t, s)[im.descs[1].Digest] {
		t.Error("the damaged layer was deleted, which helps nobody")
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if pruned, err := s.Prune(t.Context(), PruneOptions{}); err != nil || pruned != (Pruned{}) {
		t.Errorf("no store: got %+v, %v", pruned, err)
	}
	ref := mustParse(t, "localhost/a:v1")
	index, children, attached := putIndex(t, s, ref)
	stray := describe(ocispec.MediaTypeImageLayer, []byte("stray"))
	if err := s.PutBlob(t.Context(), ref, stray, []byte("stray"), ""); err != nil {
		t.Fatal(err)
	}
	lost := newImage(t, "gone", nil) // a referrer of what is not there
	orphan := referrerOf(t, lost.manifest, "orphan")
	orphan.put(t, s, ref.WithDigest(orphan.manifest.Descriptor.Digest.String()))
	want := Pruned{Blobs: 4, Bytes: stray.Size + int64(len(orphan.config)+len(orphan.layer)+len(orphan.manifest.Bytes))}
	steps := []struct {
		name  string
		opts  PruneOptions
		later time.Duration
		want  Pruned
	}{
		{"too young", PruneOptions{}, 0, Pruned{}},
		{"dry run", PruneOptions{Now: true, DryRun: true}, 0, want},
		{"dry run when old", PruneOptions{DryRun: true}, 2 * leftoverAge, want},
		{"now", PruneOptions{Now: true}, 0, want},
		{"nothing left", PruneOptions{Now: true}, 2 * leftoverAge, Pruned{}},
	}
	for _, step := range steps {
		s.now = func() time.Time { return time.Now().Add(step.later) }
		got, err := s.Prune(t.Context(), step.opts)
		if err != nil || got != step.want {
			t.Errorf("%s: got %+v, %v, want %+v", step.name, got, err, step.want)
		}
	}
	checkArrived(t, s, ref, index, children, attached)
	if list, err := s.Referrers(t.Context(), ref.WithDigest(lost.manifest.Descriptor.Digest.String())); err != nil || len(list) != 0 {
		t.Errorf("the orphan is listed: %v, %v", list, err)
	}
}
