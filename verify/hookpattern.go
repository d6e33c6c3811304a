// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// hookPattern is HOOK or HOOK:TARGET of allow.hooks.
type hookPattern struct{ hook, target string }

// anyTarget is the pattern of a target that is not limited.
const anyTarget = "*"

func parseHookPattern(text string) (hookPattern, error) {
	hook, target, limited := strings.Cut(text, ":")
	if !slices.ContainsFunc(inspect.Hooks(), func(h inspect.HookInfo) bool { return h.Name == hook }) {
		return hookPattern{}, fmt.Errorf("%q: there is no hook %q: `bpfimg hooks` lists them", clip(text), clip(hook))
	}
	switch {
	case !limited:
		target = anyTarget
	case target == "":
		return hookPattern{}, fmt.Errorf("%q has a colon but no target", clip(text))
	case strings.ContainsAny(target, `?[]\,`):
		// In the targets of some hooks these are wildcards: a pattern that holds
		// one would match more than it seems to. --attach ends targets at commas.
		return hookPattern{}, fmt.Errorf("%q: only * is a wildcard here, and targets hold none of ? [ ] \\ and commas", clip(text))
	}
	return hookPattern{hook: hook, target: target}, nil
}

// allows says whether a program may be attached there. A target that is a
// pattern itself, as some hooks take, is allowed only where all it can stand for
// is: its star is matched by a star.
func (p hookPattern) allows(hook, target string) bool {
	switch {
	case p.hook != hook:
		return false
	case p.target == anyTarget:
		return true
	case slices.Contains(strings.Split(strings.ReplaceAll(target, ":", "/"), "/"), ".."):
		return false // the text does not say where such a path leads
	case p.hook == "kprobe" && strings.Contains(target, "+") && !strings.Contains(p.target, "+"):
		return false // the kernel takes offsets beyond the end of a function, into others
	}
	return matchStars(p.target, target)
}

// hookAllowed says whether some target of the hook is allowed.
func (l *limits) hookAllowed(hook string) bool {
	return l.hooks == nil || slices.ContainsFunc(l.hooks, func(p hookPattern) bool { return p.hook == hook })
}

// placeAllowed says whether a program may be attached there.
func (l *limits) placeAllowed(hook, target string) bool {
	return l.hooks == nil || slices.ContainsFunc(l.hooks, func(p hookPattern) bool { return p.allows(hook, target) })
}
