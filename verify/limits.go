// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// licensesGPL is the one value of allow.licenses.
const licensesGPL = "gpl"

// limits is what a rule says about the bytecode itself, and about its version.
// The zero value limits nothing.
type limits struct {
	types     []string      // nil: any
	hooks     []hookPattern // nil: any
	sleepable bool          // forbidden
	memory    uint64        // of all maps, in bytes
	bounded   bool          // memory counts
	gpl       bool
	helpers   []string // patterns
	kfuncs    []string // patterns
	version   string   // the lowest, as [parseVersion] gives it; "": any

	spec schemas.PolicyRule
}

// newLimits checks what a rule says. A name that could never fit is an error:
// somebody relies on it.
func newLimits(spec schemas.PolicyRule) (limits, error) {
	l := limits{spec: spec}
	if err := l.readVersion(); err != nil {
		return l, err
	}
	if a := spec.Allow; a != nil {
		if err := l.readAllow(*a); err != nil {
			return l, fmt.Errorf("allow.%w", err)
		}
	}
	if f := spec.Forbid; f != nil {
		if err := l.readForbid(*f); err != nil {
			return l, fmt.Errorf("forbid.%w", err)
		}
	}
	return l, nil
}

func (l *limits) readVersion() error {
	text := l.spec.MinimumVersion
	if text == "" {
		return nil
	}
	version, ok := parseVersion(text)
	if !ok {
		return fmt.Errorf("minimumVersion %q: want a semantic version such as 1.4.0", clip(text))
	}
	l.version = version
	return nil
}

func (l *limits) readAllow(a schemas.PolicyAllow) (err error) {
	for name, list := range map[string][]string{"types": a.Types, "hooks": a.Hooks} {
		if list != nil && len(list) == 0 {
			return fmt.Errorf("%s is empty: name what is allowed, or leave it out to allow all", name)
		}
	}
	known := inspect.ProgramTypes()
	for _, t := range a.Types {
		if !slices.Contains(known, t) {
			return fmt.Errorf("types: %q is no program type: want one of %s", clip(t), strings.Join(known, ", "))
		}
	}
	l.types = a.Types
	for _, text := range a.Hooks {
		p, err := parseHookPattern(text)
		if err != nil {
			return fmt.Errorf("hooks: %w", err)
		}
		l.hooks = append(l.hooks, p)
	}
	l.sleepable = a.Sleepable != nil && !*a.Sleepable
	if a.MapMemory != "" {
		if l.memory, err = parseSize(a.MapMemory); err != nil {
			return fmt.Errorf("mapMemory: %w", err)
		}
		l.bounded = true
	}
	if l.gpl = a.Licenses == licensesGPL; a.Licenses != "" && !l.gpl {
		return fmt.Errorf("licenses: %q: want %s", clip(a.Licenses), licensesGPL)
	}
	return nil
}

func (l *limits) readForbid(f schemas.PolicyForbid) error {
	known := inspect.HelperNames()
	for _, pattern := range f.Helpers {
		if !slices.ContainsFunc(known, func(name string) bool { return matchStars(pattern, name) }) {
			return fmt.Errorf("helpers: no helper is called %q: they are listed in bpf-helpers(7)", clip(pattern))
		}
	}
	for _, pattern := range f.Kfuncs {
		if !isKfuncPattern(pattern) {
			return fmt.Errorf("kfuncs: %q is no name of a kernel function", clip(pattern))
		}
	}
	l.helpers, l.kfuncs = f.Helpers, f.Kfuncs
	return nil
}

// restrict says whether the code of an image is limited in any way.
func (l *limits) restrict() bool {
	return l.types != nil || l.hooks != nil || l.sleepable || l.bounded || l.gpl || len(l.helpers)+len(l.kfuncs) > 0
}

// isKfuncPattern accepts C identifiers with stars. Which functions there are is
// up to each kernel.
func isKfuncPattern(pattern string) bool {
	return pattern != "" && strings.Trim(strings.ToLower(pattern), "*_abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// matchStars says whether name is pattern, in which "*" stands for any text.
func matchStars(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	first, last := parts[0], parts[len(parts)-1]
	if len(name) < len(first)+len(last) || !strings.HasPrefix(name, first) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[len(first) : len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(name, part)
		if !found {
			return false
		}
		name = rest
	}
	return true
}

// matchAny returns whether one of the patterns fits name.
func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matchStars(p, name) })
}
