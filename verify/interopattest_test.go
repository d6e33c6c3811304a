// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/bpfimg/bpfimg/verify"
)

// TestInteropAttestations: what both cosigns attest satisfies a policy, in both
// forms and with every kind of key; bundles are made like those of signatures.
func TestInteropAttestations(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3} {
		t.Run(fmt.Sprintf("cosign%d", major), func(t *testing.T) {
			c := findCosign(t, major)
			signer, stranger := ourKeys(t), ourKeys(t)
			predicate := filepath.Join(t.TempDir(), "predicate.json")
			writeFile(t, predicate, []byte(`{"buildDefinition":{"buildType":"x"},"runDetails":{"builder":{"id":"b"}}}`))
			s := newSite(t, testregistry.Options{})
			for kind, keys := range c.pairs(t) {
				for _, form := range forms {
					if !form.legacy && kind != "generated" && kind != "Ed25519" {
						continue
					}
					t.Run(kind+" "+form.name, func(t *testing.T) {
						ref := s.fresh(t)
						s.sign(t, signer, ref, sign.Options{})
						c.sign(t, "attest", keys.private, ref.String(), form.legacy, "--predicate", predicate, "--type", "slsaprovenance1")
						if err := s.checkAttested(t, ref, signer.public, keys.public); err != nil {
							t.Error(err)
						}
						err := s.checkAttested(t, ref, signer.public, stranger.public)
						if !errors.Is(err, verify.ErrNotTrusted) || !strings.Contains(err.Error(), "not signed by a trusted key") {
							t.Errorf("another key: %v, want ErrNotTrusted", err)
						}
					})
				}
			}
		})
	}
}

// checkAttested verifies ref by a policy that wants a signature by one key and
// provenance by another.
func (s *site) checkAttested(t *testing.T, ref image.Reference, signer, attester string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policy.yaml")
	writeFile(t, file, fmt.Appendf(nil, `version: 1
rules:
- repository: %s
  keys: [%s]
  attestations: [{type: slsaprovenance1, keys: [%s], condition: predicate.runDetails.builder.id == "b"}]
`, ref.Name(), signer, attester))
	return s.checkPolicy(t, ref, file)
}

func (s *site) checkPolicy(t *testing.T, ref image.Reference, file string) error {
	t.Helper()
	policy, err := verify.LoadPolicy(file)
	if err != nil {
		t.Fatal(err)
	}
	img, err := pull.Fetch(t.Context(), s.client, ref, pull.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = verify.Check(t.Context(), img, policy)
	return err
}
