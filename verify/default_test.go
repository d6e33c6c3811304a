// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
)

// TestDefaultPolicy: it trusts nobody, and what its comments show is right.
func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	key, s := newKey(t), newGoodSigstore(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"net-team.pub": key}}
	p, err := parsePolicy([]byte(DefaultPolicy()), "policy.yaml", files)
	if err != nil {
		t.Fatal(err)
	}
	img := newImage(t)
	img.Candidates = []pull.Candidate{key.bundle(t, digestOf(img))}
	if _, err := Check(t.Context(), img, p); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("error %v, want ErrNotTrusted", err)
	}
	head, _, _ := strings.Cut(DefaultPolicy(), "\nrules: []\n")
	head = regexp.MustCompile(`(?m)^# (trustedRoot:|deny:|  digests:|  keys:)`).ReplaceAllString(head, "$1")
	examples := regexp.MustCompile(`(?m)^# (rules:\n(?:#.+\n)+)`).FindAllStringSubmatch(DefaultPolicy(), -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples, want 2", len(examples))
	}
	for _, example := range examples {
		text := head + "\n" + regexp.MustCompile(`(?m)^# `).ReplaceAllString(example[1], "")
		p, err := parsePolicy([]byte(text), "policy.yaml", files)
		if err != nil || len(p.rules) != 1 {
			t.Errorf("%v of\n%s", err, text)
		}
	}
}
