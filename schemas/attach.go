// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Attachment says where one program goes:
// PROGRAM=HOOK[:TARGET][,option=value…].
type Attachment struct {
	// Program is the program's name; empty in a build file's default, whose key
	// names it.
	Program string
	// Hook is the hook's name ("xdp"), Target what follows its colon ("eth0").
	Hook, Target string
	// Options by name; nil when there are none.
	Options map[string]string
}

// OptionProceedOn is the one option whose value is a list: the actions of a
// program after which the next one on the hook runs, as in
// proceed-on=pass,drop,priority=20.
const OptionProceedOn = "proceed-on"

// ParseAttachment parses the value of `--attach`. Whether the hook exists and
// takes these options is for package bpf to say.
func ParseAttachment(s string) (Attachment, error) {
	program, hook, ok := strings.Cut(s, "=")
	if !ok || program == "" || strings.ContainsAny(program, ":,") {
		return Attachment{}, fmt.Errorf("attach %q: want PROGRAM=HOOK[:TARGET][,option=value…], such as xdp_count=xdp:eth0", s)
	}
	a, err := ParseHook(hook)
	if err != nil {
		return Attachment{}, fmt.Errorf("attach %q: %w", s, err)
	}
	a.Program = program
	return a, nil
}

// ParseHook parses HOOK[:TARGET][,option=value…], the right side of `--attach`
// and the form of attach defaults in a build file.
func ParseHook(s string) (Attachment, error) {
	fields := strings.Split(s, ",")
	hook, target, hasTarget := strings.Cut(fields[0], ":")
	a := Attachment{Hook: hook, Target: target}
	if hook == "" {
		return a, fmt.Errorf("hook %q has no name", s)
	}
	if hasTarget && target == "" {
		return a, fmt.Errorf("hook %q has a colon but no target", s)
	}
	var last string
	for _, f := range fields[1:] {
		key, value, ok := strings.Cut(f, "=")
		if !ok && f != "" && last == OptionProceedOn {
			a.Options[last] += "," + f
			continue
		}
		if !ok || key == "" || value == "" {
			return a, fmt.Errorf("option %q of hook %q: want name=value", f, hook)
		}
		if _, dup := a.Options[key]; dup {
			return a, fmt.Errorf("option %q of hook %q is given twice", key, hook)
		}
		if a.Options == nil {
			a.Options = map[string]string{}
		}
		a.Options[key], last = value, key
	}
	return a, nil
}

// String is the form [ParseAttachment] (or, without a program, [ParseHook])
// reads, with the options sorted.
func (a Attachment) String() string {
	var b strings.Builder
	if a.Program != "" {
		b.WriteString(a.Program + "=")
	}
	b.WriteString(a.Hook)
	if a.Target != "" {
		b.WriteString(":" + a.Target)
	}
	for _, k := range slices.Sorted(maps.Keys(a.Options)) {
		b.WriteString("," + k + "=" + a.Options[k])
	}
	return b.String()
}
