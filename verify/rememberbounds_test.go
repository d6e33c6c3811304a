// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build unix

package verify

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestUntil: a verdict holds until the next date of any key that the rule names.
func TestUntil(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	in := func(hours int) time.Time { return now.Add(time.Duration(hours) * time.Hour) }
	ends := func(at time.Time) Key { return Key{NotAfter: at} }
	attested := func(keys ...Key) Rule { return Rule{attestations: []requirement{{}, {signers: signers{keys: keys}}}} }
	by := func(keys ...Key) Rule { return Rule{signers: signers{keys: keys}} }
	for _, tt := range []struct {
		name string
		rule Rule
		want time.Time // zero: for ever
	}{
		{"no keys", Rule{}, time.Time{}},
		{"no dates", by(Key{}), time.Time{}},
		{"past", by(Key{NotBefore: in(-2), NotAfter: in(-1)}), time.Time{}},
		{"now", by(ends(now)), time.Time{}},
		{"the end of one", by(ends(in(2))), in(2)},
		{"the first end", by(ends(in(3)), ends(in(2)), ends(in(4))), in(2)},
		{"a beginning", by(ends(in(3)), Key{NotBefore: in(1), NotAfter: in(5)}), in(1)},
		{"of who attests", attested(ends(in(2))), in(2)},
		{"of who attests, the first", attested(ends(in(3)), ends(in(2))), in(2)},
	} {
		got := tt.rule.until(now)
		if tt.want.IsZero() != (got == nil) || got != nil && !got.Equal(tt.want) {
			t.Errorf("%s: until %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestKeysFingerprint: what decides otherwise has another.
func TestKeysFingerprint(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	seen := map[string]string{}
	for name, keys := range map[string]Keys{
		"none":           {},
		"a":              {{ID: "a"}},
		"b":              {{ID: "b"}},
		"both":           {{ID: "a"}, {ID: "b"}},
		"a from then":    {{ID: "a", NotBefore: at}},
		"a until then":   {{ID: "a", NotAfter: at}},
		"a a bit longer": {{ID: "a", NotAfter: at.Add(1)}},
	} {
		print := keys.Fingerprint()
		if other, ok := seen[print]; ok {
			t.Errorf("%s and %s have the same", name, other)
		}
		seen[print] = name
	}
	if one, two := (Keys{{ID: "a", File: "x"}}), (Keys{{ID: "a", File: "y"}}); one.Fingerprint() != two.Fingerprint() {
		t.Error("the name of a file decides nothing")
	}
}

// TestRememberTooLarge: what would not be read again is not written.
func TestRememberTooLarge(t *testing.T) {
	t.Parallel()
	verdicts, img, trust := NewVerdicts(filepath.Join(t.TempDir(), "v"), "bpfimg 1"), newImage(t), Keys{newKey(t).Key}
	signer := func(n int) []schemas.Signer {
		return []schemas.Signer{{Kind: schemas.SignerKey, KeyFile: strings.Repeat("x", n)}}
	}
	if err := verdicts.remember(img, trust, Rule{}, signer(maxVerdict), time.Now()); err == nil || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("too large: %v", err)
	}
	if files, err := os.ReadDir(verdicts.dir); len(files) > 0 {
		t.Errorf("written all the same: %v, %v", files, err)
	}
	if err := verdicts.remember(img, trust, Rule{}, signer(maxVerdict/2), time.Now()); err != nil || verdicts.recall(img, trust, time.Now()) == nil {
		t.Errorf("large: %v", err)
	}
}

// TestRememberedLimits: that the signers are remembered says nothing about limits
// on the bytecode, which the image may never have kept.
func TestRememberedLimits(t *testing.T) {
	t.Parallel()
	key, img := newKey(t), newImage(t)
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "k.pub"), key.PEM, 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "policy.yaml"),
		[]byte("version: 1\nrules:\n- {repository: reg.example/net/*, keys: [k.pub], allow: {types: [kprobe]}}\n"), 0o600))
	policy := must[*Policy](t)(LoadPolicy(filepath.Join(dir, "policy.yaml")))
	opts := Options{Verdicts: NewVerdicts(filepath.Join(dir, "verdicts"), "bpfimg 1")}
	img.Candidates = append(img.Candidates, key.bundle(t, digestOf(img)))
	for _, when := range []string{"the first time", "remembered"} {
		v, err := CheckWith(t.Context(), img, policy, opts)
		if v != nil || !errors.Is(err, ErrNotTrusted) || !strings.Contains(err.Error(), "allow.types") {
			t.Errorf("%s: %v, want a refusal by allow.types", when, err)
		}
		img.Candidates = nil
	}
}

// TestReadOwn: which file, in which folder, may have been written by others.
func TestReadOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	check(t, os.Chmod(dir, 0o700))
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, size := range map[string]int{"most": 8, "more": 9, "own": 1} {
		check(t, os.WriteFile(at(name), make([]byte, size), 0o600))
	}
	check(t, os.Symlink(at("own"), at("link")))
	check(t, os.Symlink(dir, at("folder")))
	check(t, os.Mkdir(at("open"), 0o700))
	check(t, os.WriteFile(at("open/own"), []byte("x"), 0o600))
	check(t, os.Chmod(at("open"), 0o770))
	check(t, syscall.Mkfifo(at("pipe"), 0o600))
	for name, want := range map[string]string{
		"own":        "",
		"most":       "",
		"more":       "is no file of at most 8 bytes",
		"link":       "too many levels of symbolic links",
		"folder/own": "is not a folder",
		"open/own":   "lets others in",
		"open":       "is no file of at most",
		"pipe":       "is no file of at most",
		"own/x":      "is not a folder",
		"gone":       "no such file",
		"gone/x":     "no such file",
	} {
		data, err := readOwn(at(name), 8)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d bytes, error %v, want %q", name, len(data), err, want)
		}
	}
}
