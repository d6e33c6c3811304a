// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"

	"github.com/bpfimg/bpfimg/schemas"
)

// What a run or an update chooses is judged here, before it is done: [Check] has
// seen no more than what the image itself says. All errors wrap [ErrNotTrusted];
// after [Skip] everything is allowed.

// AllowedProgram judges a program as it is going to be loaded: with the type that
// its hook gives it when its section names none.
func (v *Verified) AllowedProgram(p schemas.Program) error {
	l := &v.rule.limits
	if l.types != nil && p.Type == typeUnspecified {
		return v.refuse("allow.types", fmt.Sprintf("program %q has no type", clip(p.Name)))
	}
	for _, look := range []struct {
		clause  string
		problem func(schemas.Program) string
	}{
		{"allow.types", l.typeProblem},
		{"allow.sleepable", l.sleepProblem},
		{"allow.licenses", l.licenseProblem},
	} {
		if text := look.problem(p); text != "" {
			return v.refuse(look.clause, fmt.Sprintf("program %q %s", clip(p.Name), text))
		}
	}
	return nil
}

// AllowedHook judges the hook of a program, or struct_ops map, whose target is
// not known yet.
func (v *Verified) AllowedHook(program, hook string) error {
	if v.rule.limits.hookAllowed(hook) {
		return nil
	}
	return v.refuse("allow.hooks", fmt.Sprintf("program %q may not be attached to hook %s", clip(program), hook))
}

// AllowedPlace judges where a program, or struct_ops map, is going to be
// attached. hook and target are spelled as `--attach` does, paths as they were
// found.
func (v *Verified) AllowedPlace(program, hook, target string) error {
	if v.rule.limits.placeAllowed(hook, target) {
		return nil
	}
	place := hook
	if target != "" {
		place += ":" + target
	}
	return v.refuse("allow.hooks", fmt.Sprintf("program %q may not be attached to %q", clip(program), clip(place)))
}

// AllowedMaps judges all maps of the image, as they are going to be made.
func (v *Verified) AllowedMaps(maps []schemas.Map) error {
	if text := v.rule.limits.memoryProblem(maps); text != "" {
		return v.refuse("allow.mapMemory", fmt.Sprintf("%s, over %s", text, sizeText(v.rule.limits.memory)))
	}
	return nil
}

func (v *Verified) refuse(clause, why string) error {
	return fmt.Errorf("%w by %s of %s: %s", ErrNotTrusted, clause, v.rule, why)
}
