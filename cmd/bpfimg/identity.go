// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

// Flags of the keyless identity, spelled as cosign spells them.
const (
	flagIdentity        = "certificate-identity"
	flagIdentityPattern = "certificate-identity-regexp"
	flagIssuer          = "certificate-oidc-issuer"
	flagTrustedRoot     = "trusted-root"
)

// trustFlags say whom to trust; more follow them.
func trustFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		keyFlag("public key that must have signed the image: a file, or env://NAME for the variable NAME"), policyFlag(),
		&cli.StringFlag{Name: flagIdentity, Usage: "subject of the certificate that must have signed the image, exactly"},
		&cli.StringFlag{Name: flagIdentityPattern, Usage: "or a regular expression for all of it, between ^ and $"},
		&cli.StringFlag{Name: flagIssuer, Usage: "OpenID Connect issuer that must have vouched for it, exactly"},
		&cli.StringFlag{Name: flagTrustedRoot, Usage: "trusted_root.json with the authorities and logs to judge it by"},
	}, more...)
}

// identityGiven says whether a flag about identities was given.
func (s *session) identityGiven() bool {
	for _, name := range []string{flagIdentity, flagIdentityPattern, flagIssuer, flagTrustedRoot} {
		if s.c.String(name) != "" {
			return true
		}
	}
	return false
}

// identityTrust trusts what the identity flags name.
func (s *session) identityTrust() (verify.Trust, error) {
	id := schemas.PolicyIdentity{
		Issuer: s.c.String(flagIssuer), Subject: s.c.String(flagIdentity), SubjectPattern: s.c.String(flagIdentityPattern),
	}
	file := s.c.String(flagTrustedRoot)
	switch {
	case id.Subject == "" && id.SubjectPattern == "":
		return nil, usagef("--%s and --%s say nothing without --%s or --%s", flagIssuer, flagTrustedRoot, flagIdentity, flagIdentityPattern)
	case id.Subject != "" && id.SubjectPattern != "":
		return nil, usagef("give --%s or --%s, not both", flagIdentity, flagIdentityPattern)
	case id.Issuer == "":
		return nil, usagef("--%s needs --%s: elsewhere anybody could be called that", flagIdentity, flagIssuer)
	case file == "":
		return nil, usagef("--%s needs --%s: a node decides by a file, never by asking", flagIdentity, flagTrustedRoot)
	}
	root, err := verify.LoadTrustedRoot(file)
	if err != nil {
		return nil, err
	}
	trust, err := verify.NewSigners(nil, []schemas.PolicyIdentity{id}, root)
	if errors.Is(err, verify.ErrBadIdentity) {
		return nil, usagef("%v", err)
	}
	return trust, err
}
