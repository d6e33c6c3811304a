// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/schemas"
)

// Signers trusts keys and identities for every repository: the [Trust] of
// `--certificate-identity`. Make one with [NewSigners].
type Signers struct{ rule Rule }

// NewSigners trusts any one of the keys and identities; identities are judged by
// root. Identities must be as strict as in a policy: an issuer, and a subject or
// an anchored pattern.
func NewSigners(keys []Key, identities []schemas.PolicyIdentity, root *TrustedRoot) (*Signers, error) {
	b := &ruleBuilder{}
	s, err := b.signers(nil, identities)
	if err != nil {
		return nil, err
	}
	s.keys = keys
	switch {
	case s.count() == 0:
		return nil, fmt.Errorf("%w: neither a key nor an identity to verify with", ErrNotTrusted)
	case len(identities) > 0 && root == nil:
		return nil, errors.New("identities need a trusted root: give --trusted-root")
	case len(identities) > 0:
		if err := root.usable(true, true, true); err != nil {
			return nil, err
		}
	}
	return &Signers{rule: Rule{signers: s, threshold: 1, root: root, logIDs: true}}, nil
}

// Rule asks for a signature by any one, whatever the repository.
func (s *Signers) Rule(string) (Rule, error) { return s.rule, nil }

// Denied says that nothing was revoked.
func (*Signers) Denied(string) bool { return false }
