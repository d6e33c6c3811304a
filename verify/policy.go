// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/schemas/document"
	"go.yaml.in/yaml/v3"
)

// Limits on a policy file: bytes, and counts. They only catch mistakes and
// malice; a policy of thousands of teams stays below.
const (
	MaxPolicy            = 1 << 20
	maxRules             = 4096
	maxRuleKeys          = 64
	maxRuleIdentities    = 64
	maxRuleAttestations  = 32
	maxDeniedDigests     = 4096
	maxDeniedKeys        = 256
	maxRuleNames         = 256 // of types, hooks, helpers, kfuncs each
	maxIdentityTextBytes = 2048
)

// Policy is a parsed policy.yaml with its keys and trusted roots loaded: the
// [Trust] of `--policy`. It is read-only and safe for concurrent use.
type Policy struct {
	name        string
	fingerprint string
	denied      denyList
	rules       map[string]Rule // by pattern as written
}

// LoadPolicy reads the policy file at path, of at most [MaxPolicy] bytes, and
// every key file and trusted root it names, relative to its folder. Unknown keys
// are an error that names the line.
func LoadPolicy(path string) (*Policy, error) {
	data, err := limited.ReadFile(path, MaxPolicy)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return parsePolicy(data, path, newFileSource(path))
}

// Name is the file the policy was read from, as it was given.
func (p *Policy) Name() string { return p.name }

// Fingerprint is "sha256:<hex>" over the policy file and everything it names:
// keys and trusted roots. What was decided under another one must be decided
// again.
func (p *Policy) Fingerprint() string { return p.fingerprint }

// Rule returns the rule that matches repository: the one that names it, or else
// the one with the longest "/*" prefix. An error wrapping [ErrNotTrusted] when
// none does.
func (p *Policy) Rule(repository string) (Rule, error) {
	if rule, ok := p.rules[repository]; ok && !strings.HasSuffix(repository, wildcard) {
		return rule, nil
	}
	for prefix := repository; ; {
		cut := strings.LastIndexByte(prefix, '/')
		if cut < 0 {
			return Rule{}, fmt.Errorf("%w: no rule of policy %s matches %q: add one with the keys or identities that may sign it", ErrNotTrusted, p.name, repository)
		}
		prefix = prefix[:cut]
		if rule, ok := p.rules[prefix+wildcard]; ok {
			return rule, nil
		}
	}
}

// Denied says whether the policy refuses a digest ("sha256:<hex>" of an index,
// an image manifest or an object) or a signature by a key of that id.
func (p *Policy) Denied(id string) bool { return p.denied.has(id) }

// wildcard at the end of a pattern stands for every repository below.
const wildcard = "/*"

// source turns the names in a policy into what they name.
type source interface {
	key(file string) (Key, error)
	root(file string) (*TrustedRoot, error)
}

// parsePolicy parses data; from reads the files it names.
func parsePolicy(data []byte, name string, from source) (*Policy, error) {
	p, err := buildPolicy(data, name, from)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	return p, nil
}

func buildPolicy(data []byte, name string, from source) (*Policy, error) {
	doc, err := decodePolicy(data)
	if err != nil {
		return nil, err
	}
	p := &Policy{name: name, rules: make(map[string]Rule, len(doc.Rules))}
	if p.denied, err = newDenyList(doc.Deny, from); err != nil {
		return nil, fmt.Errorf("deny: %w", err)
	}
	b := &ruleBuilder{from: from, policy: name, root: doc.TrustedRoot, denied: p.denied}
	for i, spec := range doc.Rules {
		rule, err := b.build(spec)
		if err == nil {
			_, twice := p.rules[spec.Repository]
			if twice {
				err = fmt.Errorf("repository %q has a rule already", spec.Repository)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		rule.Number = i + 1
		p.rules[spec.Repository] = rule
	}
	p.fingerprint = fingerprint(data, from)
	return p, nil
}

// fingerprint hashes the policy and what a file source read for it.
func fingerprint(data []byte, from source) string {
	h := sha256.New()
	sum := sha256.Sum256(data)
	h.Write(sum[:])
	if files, ok := from.(*fileSource); ok {
		h.Write(files.sum())
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

var errEmptyPolicy = errors.New("is empty: want version and rules")

// policyKeys lists the keys of each mapping of a policy for errors.
var policyKeys = map[string]string{
	"Policy":            "version, trustedRoot, deny, rules",
	"PolicyDeny":        "digests, keys",
	"PolicyRule":        "repository, trustedRoot, keys, identities, threshold, transparencyLog, timestamp, attestations, minimumVersion, allow, forbid",
	"policyKeyText":     "file, notBefore, notAfter",
	"PolicyIdentity":    "issuer, subject, subjectPattern, sourceRepository, sourceRef, workflow",
	"PolicyAttestation": "type, condition, keys, identities",
	"PolicyAllow":       "types, hooks, sleepable, mapMemory, licenses",
	"PolicyForbid":      "helpers, kfuncs",
}

// decodePolicy reads exactly one YAML document without unknown keys.
func decodePolicy(data []byte) (schemas.Policy, error) {
	var doc schemas.Policy
	if len(data) > MaxPolicy {
		return doc, fmt.Errorf("over the limit of %d bytes", MaxPolicy)
	}
	if err := document.Decode(data, &doc, policyKeys); err != nil {
		return doc, err
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(data, &tree); err != nil {
		return doc, err
	}
	if err := noBlanks(&tree); err != nil {
		return doc, err
	}
	switch {
	case tree.IsZero(): // comments alone
		return doc, errEmptyPolicy
	case doc.Version == 0:
		return doc, fmt.Errorf("has no version: want version: %d", schemas.PolicyVersion)
	case doc.Version != schemas.PolicyVersion:
		return doc, fmt.Errorf("version %d is not known here: want version: %d", doc.Version, schemas.PolicyVersion)
	case len(doc.Rules) > maxRules:
		return doc, fmt.Errorf("%d rules are over the limit of %d", len(doc.Rules), maxRules)
	}
	return doc, nil
}

// noBlanks refuses keys and entries without a value, or with an empty one: "helpers:"
// with nothing but comments below would forbid nothing and look as if it did, and
// so would `sourceRepository: "$REPOSITORY"` where nobody set that.
func noBlanks(n *yaml.Node) error {
	for i, child := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		switch {
		case isKey || child.Kind != yaml.ScalarNode || child.Value != "" && child.ShortTag() != "!!null":
		case n.Kind == yaml.MappingNode:
			key := n.Content[i-1]
			return fmt.Errorf("line %d: %q has no value: give it one, or leave it out", key.Line, clip(key.Value))
		default:
			return fmt.Errorf("line %d: an entry without a value", child.Line)
		}
		if err := noBlanks(child); err != nil {
			return err
		}
	}
	return nil
}
