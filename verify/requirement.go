// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/cel-go/cel"
)

// requirement is an attestation that must be there.
type requirement struct {
	spec      schemas.PolicyAttestation
	predicate string // predicate type
	condition *condition
	signers   signers
}

// String names the requirement for messages.
func (r requirement) String() string {
	if r.condition == nil {
		return fmt.Sprintf("attestation %s", r.spec.Type)
	}
	return fmt.Sprintf("attestation %s with %s", r.spec.Type, clip(r.condition.text))
}

// attestations checks what a rule demands; own are its signers.
func (b *ruleBuilder) attestations(specs []schemas.PolicyAttestation, own signers) ([]requirement, error) {
	if n := len(specs); n > maxRuleAttestations {
		return nil, fmt.Errorf("has %d attestations: the limit is %d", n, maxRuleAttestations)
	}
	var env *cel.Env // made when needed: it takes longer than a signature
	all := make([]requirement, 0, len(specs))
	for _, spec := range specs {
		r := requirement{spec: spec, signers: own}
		var err error
		if r.predicate, err = predicateType(spec.Type); err != nil {
			return nil, err
		}
		if spec.Condition != "" {
			if env == nil {
				if env, err = conditionEnv(); err != nil {
					return nil, err
				}
			}
			if r.condition, err = newCondition(env, spec.Condition); err != nil {
				return nil, fmt.Errorf("attestation %q: %w", spec.Type, err)
			}
		}
		if len(spec.Keys)+len(spec.Identities) > 0 {
			if r.signers, err = b.signers(spec.Keys, spec.Identities); err != nil {
				return nil, fmt.Errorf("attestation %q: %w", spec.Type, err)
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// predicateType turns a short name into the URI it stands for.
func predicateType(name string) (string, error) {
	if uri := schemas.PredicateTypeURI(name); uri != "" {
		return uri, nil
	}
	switch u, err := url.Parse(name); {
	case name == "":
		return "", errors.New("attestation without a type")
	case err != nil || u.Scheme == "" || len(name) > maxIdentityTextBytes:
		return "", fmt.Errorf("attestation type %q: want %s or the URI of a predicate type", clip(name), strings.Join(schemas.PredicateTypes(), ", "))
	case name == schemas.PredicateCosignSign:
		return "", fmt.Errorf("attestation type %q is that of signatures, which are not attestations", name)
	}
	return name, nil
}
