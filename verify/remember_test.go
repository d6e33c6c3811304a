// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
)

// TestRemember: a verdict counts for what it was about and for nothing else.
func TestRemember(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("SKIP-REASON: verdicts are believed where files have Unix owners")
	}
	key, other := newKey(t), newKey(t)
	start := time.Now()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, e *remembered)
		want   bool // believed without any signature
	}{
		{"nothing", func(*testing.T, *remembered) {}, true},
		{"no signature was ever there", func(t *testing.T, e *remembered) { e.opts.Verdicts = NewVerdicts(t.TempDir(), "bpfimg 1") }, false},
		{"decided by another version", func(_ *testing.T, e *remembered) { e.opts.Verdicts.by = "bpfimg 2" }, false},
		{"asked for anew", func(_ *testing.T, e *remembered) { e.opts.Fresh = true }, false},
		{"nowhere to remember", func(_ *testing.T, e *remembered) { e.opts.Verdicts = Verdicts{} }, false},
		{"other image", func(t *testing.T, e *remembered) {
			e.img.Manifest = manifestOf(t, e.img.Manifest.Descriptor.MediaType, map[string]any{"config": map[string]any{"digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}})
			e.img.Root = e.img.Manifest
		}, false},
		{"under an index now", func(t *testing.T, e *remembered) { underIndex(t, e.img, e.img.Manifest.Descriptor.Digest) }, false},
		{"other repository", func(t *testing.T, e *remembered) {
			e.img.Reference = must[image.Reference](t)(image.ParseReference("reg.example/net/other:v1"))
		}, false},
		{"other tag", func(t *testing.T, e *remembered) {
			e.img.Reference = must[image.Reference](t)(image.ParseReference("reg.example/net/xdp-counter:v2"))
		}, true},
		{"policy changed", func(t *testing.T, e *remembered) { e.write(t, "policy.yaml", e.policyText+"# more\n") }, false},
		{"key changed", func(t *testing.T, e *remembered) { e.write(t, "k.pub", string(other.PEM)) }, false},
		{"key denied", func(t *testing.T, e *remembered) { e.write(t, "policy.yaml", e.policyText+"deny: {keys: [k.pub]}\n") }, false},
		{"trust by key alone", func(_ *testing.T, e *remembered) { e.trust = Keys{key.Key} }, false},
		{"clock set back", func(_ *testing.T, e *remembered) { e.opts.Now = start.Add(-time.Minute) }, false},
		{"the key's time is nearly over", func(_ *testing.T, e *remembered) { e.opts.Now = start.Add(59 * time.Minute) }, true},
		{"the key's time is over", func(_ *testing.T, e *remembered) { e.opts.Now = start.Add(61 * time.Minute) }, false},
		{"content altered", func(t *testing.T, e *remembered) { e.edit(t, `"repository":"reg.example`, `"repository":"reg.exomple`) }, false},
		{"no signers", func(t *testing.T, e *remembered) { e.edit(t, `"signers":[`, `"signers":[],"x":[`) }, false},
		{"cut short", func(t *testing.T, e *remembered) { e.edit(t, `}`, ``) }, false},
		{"empty", func(t *testing.T, e *remembered) { check(t, os.Truncate(e.file(t), 0)) }, false},
		{"too large", func(t *testing.T, e *remembered) { check(t, os.Truncate(e.file(t), maxVerdict+1)) }, false},
		{"readable by others", func(t *testing.T, e *remembered) { check(t, os.Chmod(e.file(t), 0o644)) }, false},
		{"writable folder", func(t *testing.T, e *remembered) { check(t, os.Chmod(e.opts.Verdicts.dir, 0o777)) }, false},
		{"a link", func(t *testing.T, e *remembered) {
			check(t, os.Rename(e.file(t), e.file(t)+".moved"))
			check(t, os.Symlink(e.moved, e.moved[:len(e.moved)-len(".moved")]))
		}, false},
		{"somebody else's", func(t *testing.T, e *remembered) {
			if os.Geteuid() != 0 {
				t.Skip("SKIP-REASON: only root can give files away")
			}
			check(t, os.Chown(e.file(t), 65534, 65534))
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newRemembered(t, key, start)
			tt.change(t, e)
			trust := e.trust
			if trust == nil {
				trust = must[*Policy](t)(LoadPolicy(filepath.Join(e.dir, "policy.yaml")))
			}
			v, err := CheckWith(t.Context(), e.img, trust, e.opts)
			switch {
			case tt.want && err != nil:
				t.Fatalf("verified again: %v", err)
			case tt.want && (v.Remembered() == nil || len(v.Signers()) != 1 || v.Signers()[0].KeyID != key.ID):
				t.Errorf("remembered %v of %+v", v.Remembered(), v.Signers())
			case !tt.want && !errors.Is(err, ErrNotTrusted):
				t.Errorf("error %v, want ErrNotTrusted", err)
			}
		})
	}
}

// remembered is an image that was verified once and has lost its signature since.
type remembered struct {
	dir, policyText, moved string
	img                    *pull.Image
	opts                   Options
	trust                  Trust // nil: the policy
}

func newRemembered(t *testing.T, key *testKey, start time.Time) *remembered {
	t.Helper()
	e := &remembered{dir: t.TempDir(), img: newImage(t)}
	until := start.Add(time.Hour).UTC().Format(time.RFC3339Nano)
	e.policyText = "version: 1\nrules:\n- {repository: reg.example/net/*, keys: [{file: k.pub, notAfter: " + until + "}]}\n"
	e.write(t, "policy.yaml", e.policyText)
	e.write(t, "k.pub", string(key.PEM))
	e.opts = Options{Now: start, Verdicts: NewVerdicts(filepath.Join(t.TempDir(), "verdicts"), "bpfimg 1")}
	e.img.Candidates = []pull.Candidate{key.bundle(t, digestOf(e.img))}
	policy := must[*Policy](t)(LoadPolicy(filepath.Join(e.dir, "policy.yaml")))
	v, err := CheckWith(t.Context(), e.img, policy, e.opts)
	if err != nil || v.Remembered() != nil {
		t.Fatalf("the first time: %v", err)
	}
	e.img.Candidates = nil
	return e
}

func (e *remembered) write(t *testing.T, name, text string) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(e.dir, name), []byte(text), 0o600))
}

// file is the only verdict.
func (e *remembered) file(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(e.opts.Verdicts.dir, "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %q, error %v", files, err)
	}
	e.moved = files[0] + ".moved"
	return files[0]
}

func (e *remembered) edit(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(e.file(t))
	check(t, err)
	if !strings.Contains(string(data), from) {
		t.Fatalf("no %s in %s", from, data)
	}
	i := strings.LastIndex(string(data), from)
	check(t, os.WriteFile(e.file(t), []byte(string(data)[:i]+to+string(data)[i+len(from):]), 0o600))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRememberedStillJudged: bytes, deny list and limits are looked at each time.
func TestRememberedStillJudged(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	e := newRemembered(t, key, time.Now())
	policy := must[*Policy](t)(LoadPolicy(filepath.Join(e.dir, "policy.yaml")))
	if _, err := CheckWith(t.Context(), e.img, policy, e.opts); err != nil {
		t.Fatal(err)
	}
	e.img.Objects[0].Bytes = append([]byte(nil), e.img.Objects[0].Bytes...)
	e.img.Objects[0].Bytes[100] ^= 1
	if _, err := CheckWith(t.Context(), e.img, policy, e.opts); !errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), "does not match its digest") {
		t.Errorf("altered object: %v", err)
	}
}

// TestPruneVerdicts: what is of no use any more goes.
func TestPruneVerdicts(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("SKIP-REASON: verdicts are believed where files have Unix owners")
	}
	e := newRemembered(t, newKey(t), time.Now())
	dir := e.opts.Verdicts
	junk := filepath.Join(dir.dir, "tmp-1")
	check(t, os.WriteFile(junk, []byte("x"), 0o600))
	has := func(d string) bool { return d == digestOf(e.img) }
	newer := Verdicts{dir: dir.dir, by: "bpfimg 2"}
	if pruned, err := newer.Prune(has, e.opts.Now, true); err != nil || pruned.Files != 2 {
		t.Errorf("another version: %+v, %v, want 2", pruned, err)
	}
	for _, tt := range []struct {
		name string
		has  func(string) bool
		now  time.Time
		dry  bool
		want int
	}{
		{"dry", has, e.opts.Now, true, 1},
		{"junk", has, e.opts.Now, false, 1},
		{"nothing left", has, e.opts.Now, false, 0},
		{"later, dry", has, e.opts.Now.Add(2 * time.Hour), true, 1},
		{"image gone", func(string) bool { return false }, e.opts.Now, false, 1},
	} {
		pruned, err := dir.Prune(tt.has, tt.now, tt.dry)
		if err != nil || pruned.Files != tt.want {
			t.Errorf("%s: %+v, %v, want %d", tt.name, pruned, err, tt.want)
		}
	}
}

// FuzzVerdict: no content of a file is believed for another image, nor panics.
func FuzzVerdict(f *testing.F) {
	f.Add([]byte(`{"inputs":{"format":1,"digest":"sha256:00"},"signers":[{"kind":"key"}]}`))
	f.Add([]byte(`{}`))
	f.Add([]byte(`[`))
	key := fixedKey(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		img, trust := newImage(t), Keys{key.Key}
		v := NewVerdicts(t.TempDir(), "bpfimg 1")
		in, _ := v.inputs(img, trust)
		check(t, writeVerdict(v.path(in), data))
		if found := v.recall(img, trust, time.Now()); found != nil && found.Inputs != in {
			t.Errorf("believed %+v", found)
		}
	})
}
