// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"slices"
	"strings"
)

// HookInfo is one hook: a place in the kernel that programs are attached to.
type HookInfo struct {
	// Name as `--attach` spells it: "xdp".
	Name string
	// Programs are the program types that go there, in libbpf's spelling.
	Programs []string
	// Sections are the names of SEC("…") that mean this hook. An upper-case
	// part stands for the target; without one, longer names that start the same
	// mean it too, as in libbpf.
	Sections []string
	// Target says what the target is, "" when there is none.
	Target string
	// Options it takes, in the order of their importance.
	Options []OptionInfo
	// Since is the first version of Linux with it, "" when that is older than any
	// kernel bpfimg is for (5.4).
	Since string
	// Delivered says whether this version attaches to it; a hook that is not is
	// named, so that inspection shows what an object wants.
	Delivered bool
}

// OptionInfo is one option of a hook: `--attach PROGRAM=HOOK:TARGET,NAME=VALUE`.
type OptionInfo struct {
	Name string
	// Values are all it can be; nil when Help says what it can.
	Values []string
	// Help in a few words.
	Help string
	// Default when it is not given; "" when it must be or Help says what
	// happens.
	Default string
}

// Names of options that several hooks have.
const (
	// optionDirection is the one option that a section can set.
	optionDirection = "direction"
	// OptionLSM is the LSM hook where the target is something else: the section's
	// second part.
	OptionLSM = "lsm"
	// OptionNetns says in which network namespace the target is.
	OptionNetns = "netns"
	// OptionMntns says in which mount namespace the file of the target is.
	OptionMntns = "mntns"
)

// netnsOption is that of every hook whose target is in a network namespace.
func netnsOption() OptionInfo {
	return OptionInfo{Name: OptionNetns, Help: "network namespace of the target, /run/netns/NAME or pid:NUMBER; when not given, the one bpfimg runs in"}
}

// HasOption says whether the hook takes the option.
func (h HookInfo) HasOption(name string) bool {
	return slices.ContainsFunc(h.Options, func(o OptionInfo) bool { return o.Name == name })
}

// Hooks lists every hook bpfimg knows the name of, family by family. The caller
// may keep and change the list.
func Hooks() []HookInfo {
	return slices.Concat(networkHooks(), tracingHooks(), cgroupHooks(), socketHooks(), otherHooks())
}

// HookOf says where a program goes by what its section says: the hook's name, ""
// when unknown; the target, "" when the section leaves it open; and options, nil
// when it sets none. progType and attachType are in libbpf's spelling.
func HookOf(progType, attachType, section string) (hook, target string, options map[string]string) {
	return hookOf(Hooks(), progType, attachType, section)
}

// hookOf is HookOf with a table that is made once for many programs.
func hookOf(hooks []HookInfo, progType, attachType, section string) (hook, target string, options map[string]string) {
	// A question mark keeps a program from being loaded by default (libbpf).
	section = strings.TrimPrefix(section, "?")
	var best HookInfo
	longest := 0
	for _, h := range hooks {
		if !slices.Contains(h.Programs, progType) {
			continue
		}
		for _, pattern := range h.Sections {
			// "xdp/devmap" is more than an "xdp" with something behind it.
			if t, n := matchSection(section, pattern); n > longest {
				best, target, longest = h, t, n
			}
		}
	}
	if best.HasOption(OptionLSM) && target != "" {
		return best.Name, "", map[string]string{OptionLSM: target}
	}
	return best.Name, target, sectionOptions(best, progType, attachType, section)
}

// matchSection compares a section with a pattern of [HookInfo.Sections] and
// gives the target the section names, and how many bytes of it the pattern
// explains, 0 when it does not match.
func matchSection(section, pattern string) (target string, matched int) {
	head, placeholder, found := strings.Cut(pattern, "/")
	if found && placeholder != "" && strings.ToUpper(placeholder) == placeholder {
		if have, target, _ := strings.Cut(section, "/"); have == head {
			return target, len(head)
		}
		return "", 0
	}
	if strings.HasPrefix(section, pattern) {
		return "", len(pattern)
	}
	return "", 0
}

// sectionOptions reads a direction from "tc/ingress" or "netkit/peer", from the
// attach type such a section gave the program, or from the type of an LWT program.
func sectionOptions(h HookInfo, progType, attachType, section string) map[string]string {
	i := slices.IndexFunc(h.Options, func(o OptionInfo) bool { return o.Name == optionDirection })
	if i < 0 {
		return nil
	}
	_, tail, _ := strings.Cut(section, "/")
	for _, direction := range h.Options[i].Values {
		if tail == direction || strings.HasSuffix(attachType, "_"+direction) || progType == "lwt_"+direction {
			return map[string]string{optionDirection: direction}
		}
	}
	return nil
}
