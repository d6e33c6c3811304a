// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// Clause is one demand of a rule, and whether an image meets it.
type Clause struct {
	// Clause is where it stands in the rule ("allow.types"), Want what it says.
	Clause string `json:"clause"`
	Want   string `json:"want"`
	Met    bool   `json:"met"`
	// Found says what meets it, or what is missing.
	Found string `json:"found,omitempty"`
}

// judge looks at every limit of the rule. desc is read from verified bytes; only
// its version is the word of who signed it.
func (l *limits) judge(desc schemas.Description) []Clause {
	var clauses []Clause
	add := func(given bool, name, want string, problems ...string) {
		if given {
			clauses = append(clauses, Clause{Clause: name, Want: want, Met: len(problems) == 0, Found: listed(problems)})
		}
	}
	var maps []schemas.Map
	var programs []schemas.Program
	for _, o := range desc.Objects {
		programs, maps = append(programs, o.Programs...), append(maps, o.Maps...)
	}
	each := func(problem func(schemas.Program) string) (problems []string) {
		for _, p := range programs {
			if text := problem(p); text != "" {
				problems = append(problems, fmt.Sprintf("program %q %s", clip(p.Name), text))
			}
		}
		return problems
	}
	add(l.version != "", "minimumVersion", l.spec.MinimumVersion, one(l.versionProblem(desc.Version))...)
	add(l.types != nil, "allow.types", strings.Join(l.types, ", "), each(l.typeProblem)...)
	add(l.hooks != nil, "allow.hooks", l.hooksText(), each(l.hookProblem)...)
	add(l.sleepable, "allow.sleepable", "false", each(l.sleepProblem)...)
	add(l.bounded, "allow.mapMemory", sizeText(l.memory), append(one(l.memoryProblem(maps)), each(l.objectProblem)...)...)
	add(l.gpl, "allow.licenses", licensesGPL, each(l.licenseProblem)...)
	add(len(l.helpers) > 0, "forbid.helpers", strings.Join(l.helpers, ", "), each(l.helperProblem)...)
	add(len(l.kfuncs) > 0, "forbid.kfuncs", strings.Join(l.kfuncs, ", "), each(l.kfuncProblem)...)
	if problems := each(loaderProblem); len(problems) > 0 {
		add(l.restrict(), "limits", "nothing that no limit could see", problems...)
	}
	return clauses
}

// unmet are the sentences of the clauses that are not met.
func unmet(clauses []Clause) []string {
	var missing []string
	for _, c := range clauses {
		if !c.Met {
			missing = append(missing, fmt.Sprintf("%s (%s): %s", c.Clause, clip(c.Want), c.Found))
		}
	}
	return missing
}

func (l *limits) hooksText() string {
	if l.spec.Allow == nil {
		return ""
	}
	return strings.Join(l.spec.Allow.Hooks, ", ")
}

// typeUnspecified is the type of a program whose section does not say it. It is
// judged once its hook is known, by [Verified.AllowedProgram].
const typeUnspecified = "unspec"

func (l *limits) typeProblem(p schemas.Program) string {
	if l.types == nil || p.Type == typeUnspecified || slices.Contains(l.types, p.Type) {
		return ""
	}
	return fmt.Sprintf("is of type %s", p.Type)
}

// hookProblem judges what the section says, which is in the object. Where programs
// really go, by labels or flags, is judged by [Verified.AllowedPlace].
func (l *limits) hookProblem(p schemas.Program) string {
	if l.hooks == nil {
		return ""
	}
	switch hook, target, _ := inspect.HookOf(p.Type, p.AttachType, p.Section); {
	case hook == "" || target == "" && l.hookAllowed(hook) || l.placeAllowed(hook, target):
		return ""
	case target == "":
		return fmt.Sprintf("is for hook %s", hook)
	default:
		return fmt.Sprintf("is for %q", clip(hook+":"+target))
	}
}

// sleepers are the kfuncs that have a callback run later, where it may sleep,
// whatever the program itself may (is_async_cb_sleepable of kernel/bpf/verifier.c).
// Their suffixes vary between kernels.
var sleepers = []string{"bpf_wq_set_callback*", "bpf_task_work_schedule_*"}

func (l *limits) sleepProblem(p schemas.Program) string {
	switch {
	case !l.sleepable:
		return ""
	case p.Sleepable:
		return "may sleep"
	}
	return callProblem(sleepers, p.Kfuncs, ", whose callback may sleep")
}

// allocators are the kfuncs that make objects beside the maps, as many as lists and
// trees in a map's values can hold (kernel/bpf/helpers.c).
var allocators = []string{"bpf_obj_new*", "bpf_percpu_obj_new*"}

func (l *limits) objectProblem(p schemas.Program) string {
	if !l.bounded {
		return ""
	}
	return callProblem(allocators, p.Kfuncs, ", by which it takes memory that no map bounds")
}

func (l *limits) memoryProblem(maps []schemas.Map) string {
	if !l.bounded {
		return ""
	}
	total, err := mapMemory(maps)
	switch {
	case err != nil:
		return err.Error()
	case total > l.memory:
		return fmt.Sprintf("the maps take up to %s", sizeText(total))
	}
	return ""
}

// gplLicenses are those the kernel takes as compatible with its own
// (license_is_gpl_compatible of include/linux/license.h).
var gplLicenses = []string{"GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"}

func (l *limits) licenseProblem(p schemas.Program) string {
	if !l.gpl || slices.Contains(gplLicenses, p.License) {
		return ""
	}
	return fmt.Sprintf("has the license %q, which the kernel does not take as compatible with the GPL", clip(p.License))
}

func (l *limits) helperProblem(p schemas.Program) string {
	return callProblem(l.helpers, p.Helpers, "")
}

func (l *limits) kfuncProblem(p schemas.Program) string {
	return callProblem(l.kfuncs, p.Kfuncs, "")
}

// callProblem finds what must not be called, and says why not. What has a number
// and no name could be anything.
func callProblem(forbidden, called []string, why string) string {
	if len(forbidden) == 0 {
		return ""
	}
	for _, name := range called {
		switch {
		case matchAny(forbidden, name):
			return fmt.Sprintf("calls %s%s", clip(name), why)
		case strings.HasPrefix(name, "unknown#"):
			return fmt.Sprintf("calls %s, a function without a name, which may be a forbidden one", clip(name))
		}
	}
	return ""
}

// loaderProblem finds programs that load others, which no limit would see:
// bpf_sys_bpf is the system call itself.
func loaderProblem(p schemas.Program) string {
	if slices.Contains(p.Helpers, "bpf_sys_bpf") {
		return "calls bpf_sys_bpf, by which it can load programs and make maps of any kind"
	}
	return ""
}

// one is a list of one sentence, or of none when it is empty.
func one(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// listed joins the first of the sentences.
func listed(sentences []string) string {
	if n := len(sentences); n > maxListed {
		sentences = append(slices.Clone(sentences[:maxListed]), "and "+strconv.Itoa(n-maxListed)+" more")
	}
	return strings.Join(sentences, "; ")
}
