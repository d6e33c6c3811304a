// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"go.yaml.in/yaml/v3"
)

// Limits on a policy file: bytes, rules and keys a rule. They only catch
// mistakes and malice; a policy of thousands of teams stays below.
const (
	MaxPolicy   = 1 << 20
	maxRules    = 4096
	maxRuleKeys = 64
)

// Policy is a parsed policy.yaml with its keys loaded: the [Trust] of
// `--policy`. It is read-only and safe for concurrent use.
type Policy struct {
	name  string
	rules map[string][]Key // by pattern as written
}

// LoadPolicy reads the policy file at path, of at most [MaxPolicy] bytes, and
// every key file it names, relative to its folder. Unknown keys are an error
// that names the line.
func LoadPolicy(path string) (*Policy, error) {
	data, err := readLimited(path, MaxPolicy)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	dir := filepath.Dir(path)
	loaded := map[string]Key{}
	return parsePolicy(data, path, func(file string) (Key, error) {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if key, ok := loaded[file]; ok {
			return key, nil
		}
		key, err := LoadKeyFile(file)
		if err != nil {
			return Key{}, err
		}
		loaded[file] = key
		return key, nil
	})
}

// KeysFor returns the keys of the rule that matches repository: the one that
// names it, or else the one with the longest "/*" prefix. An error wrapping
// [ErrNotTrusted] when none does.
func (p *Policy) KeysFor(repository string) ([]Key, error) {
	if keys, ok := p.rules[repository]; ok && !strings.HasSuffix(repository, wildcard) {
		return keys, nil
	}
	for prefix := repository; ; {
		cut := strings.LastIndexByte(prefix, '/')
		if cut < 0 {
			return nil, fmt.Errorf("%w: no rule of policy %s matches %q: add one with the keys that may sign it", ErrNotTrusted, p.name, repository)
		}
		prefix = prefix[:cut]
		if keys, ok := p.rules[prefix+wildcard]; ok {
			return keys, nil
		}
	}
}

// wildcard at the end of a pattern stands for every repository below.
const wildcard = "/*"

// parsePolicy parses data; load turns a key's path into the key.
func parsePolicy(data []byte, name string, load func(file string) (Key, error)) (*Policy, error) {
	doc, err := decodePolicy(data)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", name, err)
	}
	p := &Policy{name: name, rules: make(map[string][]Key, len(doc.Rules))}
	for i, rule := range doc.Rules {
		if err := p.add(rule, load); err != nil {
			return nil, fmt.Errorf("policy %s: rule %d: %w", name, i+1, err)
		}
	}
	return p, nil
}

// decodePolicy reads exactly one YAML document without unknown keys.
func decodePolicy(data []byte) (schemas.Policy, error) {
	var doc schemas.Policy
	if len(data) > MaxPolicy {
		return doc, fmt.Errorf("over the limit of %d bytes", MaxPolicy)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return doc, errors.New("is empty: want version and rules")
	} else if err != nil {
		return doc, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return doc, errors.New("holds more than one YAML document")
	}
	switch {
	case doc.Version == 0:
		return doc, fmt.Errorf("has no version: want version: %d", schemas.PolicyVersion)
	case doc.Version != schemas.PolicyVersion:
		return doc, fmt.Errorf("version %d is not known here: want version: %d", doc.Version, schemas.PolicyVersion)
	case len(doc.Rules) > maxRules:
		return doc, fmt.Errorf("%d rules are over the limit of %d", len(doc.Rules), maxRules)
	}
	return doc, nil
}

// add checks one rule and loads its keys.
func (p *Policy) add(rule schemas.PolicyRule, load func(string) (Key, error)) error {
	if err := checkPattern(rule.Repository); err != nil {
		return err
	}
	if _, twice := p.rules[rule.Repository]; twice {
		return fmt.Errorf("repository %q has a rule already", rule.Repository)
	}
	if n := len(rule.Keys); n == 0 {
		return fmt.Errorf("repository %q has no keys: a rule trusts at least one", rule.Repository)
	} else if n > maxRuleKeys {
		return fmt.Errorf("repository %q has %d keys: the limit is %d", rule.Repository, n, maxRuleKeys)
	}
	keys := make([]Key, 0, len(rule.Keys))
	for _, file := range rule.Keys {
		key, err := load(file)
		if err != nil {
			return fmt.Errorf("repository %q: %w", rule.Repository, err)
		}
		keys = append(keys, key)
	}
	p.rules[rule.Repository] = keys
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
