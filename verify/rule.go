// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
)

// Rule is what is asked of the images of a repository. Get one from
// [Trust].Rule.
type Rule struct {
	// Spec is the rule as the document has it.
	Spec schemas.PolicyRule
	// Policy is the file it stands in and Number its place there, from 1; "" and
	// 0 for what flags ask.
	Policy string
	Number int

	signers      signers
	threshold    int
	root         *TrustedRoot // nil: nothing but keys counts
	logKeys      bool         // transparency log required for keys
	logIDs       bool         // and for identities
	timeKeys     bool         // proven time required for keys; identities always
	attestations []requirement
	denied       denyList
	limits       limits
}

// signers are those who may sign one thing.
type signers struct {
	keys       []Key
	identities []identity
}

// count is how many distinct ones there are.
func (s signers) count() int {
	ids := map[string]bool{}
	for _, k := range s.keys {
		ids[k.ID] = true
	}
	return len(ids) + len(s.identities)
}

// Keys are the keys that may sign, with the times they may do so.
func (r Rule) Keys() []Key { return append([]Key(nil), r.signers.keys...) }

// Threshold is how many distinct signers must have signed, at least 1.
func (r Rule) Threshold() int { return r.threshold }

// TrustedRoot is the one identities, logs and timestamps are judged by; nil
// without.
func (r Rule) TrustedRoot() *TrustedRoot { return r.root }

// String names the rule for messages.
func (r Rule) String() string {
	if r.Number == 0 {
		return "what the flags ask"
	}
	return fmt.Sprintf("rule %d (%s) of policy %s", r.Number, r.Spec.Repository, r.Policy)
}

// ruleBuilder turns the rules of a document into [Rule]s.
type ruleBuilder struct {
	from   source
	policy string
	root   string // of the whole policy
	denied denyList
}

func (b *ruleBuilder) build(spec schemas.PolicyRule) (Rule, error) {
	if err := checkPattern(spec.Repository); err != nil {
		return Rule{}, err
	}
	rule := Rule{Spec: spec, Policy: b.policy, denied: b.denied, threshold: max(spec.Threshold, 1)}
	err := b.fill(&rule)
	if err != nil {
		return Rule{}, fmt.Errorf("repository %q: %w", spec.Repository, err)
	}
	return rule, nil
}

func (b *ruleBuilder) fill(rule *Rule) (err error) {
	spec := rule.Spec
	if len(spec.Keys)+len(spec.Identities) == 0 {
		return errors.New("has neither keys nor identities: a rule trusts at least one")
	}
	if rule.signers, err = b.signers(spec.Keys, spec.Identities); err != nil {
		return err
	}
	if n := rule.signers.count(); spec.Threshold < 0 || spec.Threshold > n {
		return fmt.Errorf("threshold %d: want 1 to %d, as many as there are distinct signers", spec.Threshold, n)
	}
	if rule.logKeys, err = demanded("transparencyLog", spec.TransparencyLog, false); err != nil {
		return err
	}
	if rule.logIDs, err = demanded("transparencyLog", spec.TransparencyLog, true); err != nil {
		return err
	}
	if rule.timeKeys, err = demanded("timestamp", spec.Timestamp, false); err != nil {
		return err
	}
	if rule.attestations, err = b.attestations(spec.Attestations, rule.signers); err != nil {
		return err
	}
	if err := checkCounts(spec); err != nil {
		return err
	}
	if rule.limits, err = newLimits(spec); err != nil {
		return err
	}
	return b.trustedRoot(rule)
}

// demanded reads "required" or "optional".
func demanded(what, value string, otherwise bool) (bool, error) {
	switch value {
	case "":
		return otherwise, nil
	case schemas.Required:
		return true, nil
	case schemas.Optional:
		return false, nil
	}
	return false, fmt.Errorf("%s: %q: want %s or %s", what, value, schemas.Required, schemas.Optional)
}

// signers loads and checks who may sign.
func (b *ruleBuilder) signers(keys []schemas.PolicyKey, identities []schemas.PolicyIdentity) (signers, error) {
	var s signers
	if n := len(keys); n > maxRuleKeys {
		return s, fmt.Errorf("has %d keys: the limit is %d", n, maxRuleKeys)
	}
	if n := len(identities); n > maxRuleIdentities {
		return s, fmt.Errorf("has %d identities: the limit is %d", n, maxRuleIdentities)
	}
	for _, spec := range keys {
		if spec.File == "" {
			return s, errors.New("has a key with no key file")
		}
		key, err := b.from.key(spec.File)
		if err != nil {
			return s, err
		}
		if spec.NotBefore != nil {
			key.NotBefore = *spec.NotBefore
		}
		if spec.NotAfter != nil {
			key.NotAfter = *spec.NotAfter
		}
		if spec.NotBefore != nil && spec.NotAfter != nil && !key.NotBefore.Before(key.NotAfter) {
			return s, fmt.Errorf("key %q: notBefore is not before notAfter, so it could never sign", spec.File)
		}
		s.keys = append(s.keys, key)
	}
	for _, spec := range identities {
		id, err := newIdentity(spec)
		if err != nil {
			return s, err
		}
		s.identities = append(s.identities, id)
	}
	return s, nil
}

// trustedRoot loads the trusted root of the rule and sees that it will do.
func (b *ruleBuilder) trustedRoot(rule *Rule) error {
	needCA, keys := len(rule.signers.identities) > 0, len(rule.signers.keys) > 0
	for _, a := range rule.attestations {
		needCA = needCA || len(a.signers.identities) > 0
		keys = keys || len(a.signers.keys) > 0
	}
	needLog := needCA && rule.logIDs || keys && rule.logKeys
	needTime := needCA || keys && rule.timeKeys
	file := rule.Spec.TrustedRoot
	if file == "" {
		file = b.root
	}
	if file == "" {
		if needCA || needLog || needTime {
			return errors.New("identities, transparencyLog: required and timestamp: required need a trustedRoot: name the file of your Sigstore services")
		}
		return nil
	}
	root, err := b.from.root(file)
	if err != nil {
		return err
	}
	rule.root = root
	return root.usable(needCA, needLog, needTime)
}

// checkCounts bounds the lists that others read.
func checkCounts(spec schemas.PolicyRule) error {
	lists := map[string][]string{}
	if spec.Allow != nil {
		lists["allow.types"], lists["allow.hooks"] = spec.Allow.Types, spec.Allow.Hooks
	}
	if spec.Forbid != nil {
		lists["forbid.helpers"], lists["forbid.kfuncs"] = spec.Forbid.Helpers, spec.Forbid.Kfuncs
	}
	for name, list := range lists {
		if len(list) > maxRuleNames {
			return fmt.Errorf("%s has %d entries: the limit is %d", name, len(list), maxRuleNames)
		}
	}
	return nil
}

// checkPattern accepts what a reference can be equal to or below of, spelled
// the way references spell it; anything else would never match and is a
// mistake somebody relies on.
func checkPattern(pattern string) error {
	if pattern == "" {
		return errors.New("has no repository: want registry/path or registry/path/*")
	}
	// Two levels below: docker.io spells repositories of one level otherwise.
	const below = "/x/x"
	sample, prefixed := strings.CutSuffix(pattern, wildcard)
	if prefixed {
		sample += below
	}
	ref, err := image.ParseReference(sample)
	if err != nil {
		return fmt.Errorf("repository %q: %w", pattern, err)
	}
	name := ref.Name()
	if prefixed {
		name = strings.TrimSuffix(name, below) + wildcard
	}
	if name != pattern {
		return fmt.Errorf("repository %q: want registry/path or registry/path/*, without tag or digest, here %q", pattern, name)
	}
	return nil
}
