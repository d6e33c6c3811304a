// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// ErrBadIdentity is wrapped by the error for an identity that says too little,
// or what it does not mean: no issuer, an open pattern.
var ErrBadIdentity = errors.New("bad identity")

// identity is who may sign with a certificate.
type identity struct {
	spec    schemas.PolicyIdentity
	pattern *regexp.Regexp // nil: spec.Subject, exactly
}

// newIdentity checks spec and compiles its pattern. Its errors wrap
// [ErrBadIdentity].
func newIdentity(spec schemas.PolicyIdentity) (identity, error) {
	id, err := compileIdentity(spec)
	if err != nil {
		return identity{}, fmt.Errorf("%w: %w", ErrBadIdentity, err)
	}
	return id, nil
}

func compileIdentity(spec schemas.PolicyIdentity) (identity, error) {
	for _, text := range []string{spec.Issuer, spec.Subject, spec.SubjectPattern, spec.SourceRepository, spec.SourceRef, spec.Workflow} {
		if len(text) > maxIdentityTextBytes {
			return identity{}, fmt.Errorf("a text of %d bytes: the limit is %d", len(text), maxIdentityTextBytes)
		}
	}
	switch {
	case spec.Issuer == "":
		return identity{}, errors.New("it is without an issuer: anybody could be called that elsewhere")
	case spec.Subject == "" && spec.SubjectPattern == "":
		return identity{}, fmt.Errorf("that of issuer %q has neither subject nor subjectPattern: it would trust everyone there", spec.Issuer)
	case spec.Subject != "" && spec.SubjectPattern != "":
		return identity{}, fmt.Errorf("that of issuer %q has both subject and subjectPattern: give one", spec.Issuer)
	case spec.Subject != "":
		return identity{spec: spec}, nil
	}
	pattern, err := compileAnchored(spec.SubjectPattern)
	if err != nil {
		return identity{}, fmt.Errorf("subjectPattern %q: %w", spec.SubjectPattern, err)
	}
	return identity{spec: spec, pattern: pattern}, nil
}

// compileAnchored compiles a pattern that begins with ^ and ends with $ as a
// whole: "^a|b$" does not, its halves are open.
func compileAnchored(pattern string) (*regexp.Regexp, error) {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	anchored := tree.Op == syntax.OpConcat && len(tree.Sub) > 1 &&
		tree.Sub[0].Op == syntax.OpBeginText && tree.Sub[len(tree.Sub)-1].Op == syntax.OpEndText
	if !anchored {
		return nil, errors.New("is not anchored: want ^…$ around all of it, as in ^(a|b)$, or other names that contain it would match")
	}
	return compileWhole(pattern)
}

// compileWhole compiles a pattern that matches a whole text or not at all, whatever
// flags and alternatives are in it. It does not rely on what was checked before.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(`\A(?:` + pattern + `)\z`)
}

// matches returns nil when the certificate, which a trusted authority made, is
// this identity's.
func (i identity) matches(cert certificate.Summary) error {
	for _, want := range []struct{ what, want, got string }{
		{"issuer", i.spec.Issuer, cert.Issuer},
		{"subject", i.spec.Subject, cert.SubjectAlternativeName},
		{"source repository", i.spec.SourceRepository, cert.SourceRepositoryURI},
		{"source ref", i.spec.SourceRef, cert.SourceRepositoryRef},
		{"workflow", i.spec.Workflow, cert.BuildConfigURI},
	} {
		if want.want != "" && want.want != want.got {
			return fmt.Errorf("%s is %q, not %q", want.what, clip(want.got), want.want)
		}
	}
	if i.pattern != nil && !i.pattern.MatchString(cert.SubjectAlternativeName) {
		return fmt.Errorf("subject %q does not match %q", clip(cert.SubjectAlternativeName), i.spec.SubjectPattern)
	}
	return nil
}
