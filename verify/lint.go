// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"time"
)

// soon is how long before a key's end its rule is worth a look.
const soon = 30 * 24 * time.Hour

// Rules is how many rules there are.
func (p *Policy) Rules() int { return len(p.rules) }

// Lint returns sentences about what is valid and may not be meant, in the order of
// the rules: rules that nothing can ever meet, keys that are past their time,
// patterns that match more than they seem to.
func (p *Policy) Lint(now time.Time) []string {
	warnings := []string{} // "[]" in JSON
	if len(p.rules) == 0 {
		warnings = append(warnings, "there are no rules: every image is refused")
	}
	rules := slices.SortedFunc(maps.Values(p.rules), func(a, b Rule) int { return a.Number - b.Number })
	for _, r := range rules {
		for _, w := range r.lint(now) {
			warnings = append(warnings, fmt.Sprintf("rule %d (%s): %s", r.Number, r.Spec.Repository, w))
		}
	}
	return warnings
}

func (r Rule) lint(now time.Time) []string {
	warnings := r.lintSigners("", r.signers, r.threshold, now)
	if n := r.signers.count(); n > 1 && r.Spec.Threshold == 0 {
		warnings = append(warnings, fmt.Sprintf("any one of its %d signers is enough: say threshold: 1 if that is meant", n))
	}
	for _, a := range r.attestations {
		if len(a.spec.Keys)+len(a.spec.Identities) > 0 {
			warnings = append(warnings, r.lintSigners(a.String()+": ", a.signers, 1, now)...)
		}
	}
	return warnings
}

// lintSigners looks at who may sign one thing, of whom threshold are needed.
func (r Rule) lintSigners(what string, s signers, threshold int, now time.Time) []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, what+fmt.Sprintf(format, args...)) }
	proves := r.root != nil && r.timeKeys
	able := map[string]bool{}
	for _, k := range s.keys {
		ended := !k.NotAfter.IsZero() && now.After(k.NotAfter)
		switch {
		case r.denied.has(k.ID):
			warn("the key %s is on the deny list", k.File)
		case ended && !proves:
			warn("the time of the key %s has ended on %s", k.File, k.NotAfter.UTC().Format(time.DateOnly))
		case !k.NotAfter.IsZero() && !ended && k.NotAfter.Sub(now) < soon:
			warn("the time of the key %s ends on %s", k.File, k.NotAfter.UTC().Format(time.DateOnly))
			able[k.ID] = true
		default:
			able[k.ID] = true
		}
		if !k.NotAfter.IsZero() && r.root == nil {
			warn("nothing proves when the key %s signed, so that its old signatures end with it too: a trustedRoot with a timestamp authority or log would", k.File)
		}
	}
	for _, i := range s.identities {
		if i.pattern != nil && hasOpenDot(i.spec.SubjectPattern) {
			warn(`subjectPattern %q has a dot that stands for any character: write \.`, i.spec.SubjectPattern)
		}
	}
	if n := len(able) + len(s.identities); n < threshold {
		warn("nothing can ever meet it: of the %d signers needed, %d can sign", threshold, n)
	}
	return warnings
}

// hasOpenDot says whether a pattern has a dot that is not repeated: mostly one of
// a host name that somebody forgot to escape.
func hasOpenDot(pattern string) bool {
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	var open func(r *syntax.Regexp, repeated bool) bool
	open = func(r *syntax.Regexp, repeated bool) bool {
		switch r.Op {
		case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
			return !repeated
		case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
			return open(r.Sub[0], true)
		}
		return slices.ContainsFunc(r.Sub, func(sub *syntax.Regexp) bool { return open(sub, false) })
	}
	return open(tree, false)
}
