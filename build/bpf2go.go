// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
)

// bpf2goTarget is one of the kinds of objects bpf2go makes.
type bpf2goTarget struct {
	// endings of the file name's stem: the one in use and an obsolete one.
	endings []string
	// archs are the GOARCH values of Linux on which the Go code that bpf2go writes
	// beside the object loads it.
	archs []string
	// generic objects run on every CPU of a byte order; one for the CPU itself is
	// preferred.
	generic bool
}

// bpf2goTargets is the table of bpf2go (github.com/cilium/ebpf v0.22.0,
// cmd/bpf2go/gen/target.go) without wasm. The generic ones come last, because
// the others end like them.
var bpf2goTargets = []*bpf2goTarget{
	{endings: []string{"x86_bpfel", "bpfel_x86"}, archs: []string{"386", "amd64"}},
	{endings: []string{"arm_bpfel", "bpfel_arm"}, archs: []string{"arm"}},
	{endings: []string{"arm64_bpfel", "bpfel_arm64"}, archs: []string{"arm64"}},
	{endings: []string{"loongarch_bpfel", "bpfel_loongarch"}, archs: []string{"loong64"}},
	{endings: []string{"mips_bpfeb", "bpfeb_mips"}, archs: []string{"mips"}},
	{endings: []string{"powerpc_bpfeb", "bpfeb_powerpc"}, archs: []string{"ppc64"}},
	{endings: []string{"powerpc_bpfel", "bpfel_powerpc"}, archs: []string{"ppc64le"}},
	{endings: []string{"riscv_bpfel", "bpfel_riscv"}, archs: []string{"riscv64"}},
	{endings: []string{"s390_bpfeb", "bpfeb_s390"}, archs: []string{"s390x"}},
	{endings: []string{"bpfel"}, archs: []string{"386", "amd64", "arm", "arm64", "loong64", "mips64le", "mipsle", "ppc64le", "riscv64"}, generic: true},
	{endings: []string{"bpfeb"}, archs: []string{"mips", "mips64", "ppc64", "s390x"}, generic: true},
}

// cutTarget takes bpf2go's ending off a file name without ".o"; nil if it has
// none.
func cutTarget(name string) (stem string, target *bpf2goTarget) {
	for _, t := range bpf2goTargets {
		for _, ending := range t.endings {
			if stem, ok := strings.CutSuffix(name, "_"+ending); ok && stem != "" {
				return stem, t
			}
		}
	}
	return name, nil
}

// unit is one program file of a project, compiled once or for several targets.
type unit struct {
	// stem is the file name without ".o" and bpf2go's ending.
	stem string
	// files by target; the key is nil for a name without an ending.
	files map[*bpf2goTarget]Input
}

// Variants says which objects are for which platform by the endings that bpf2go
// gives file names: counter_x86_bpfel.o and counter_arm64_bpfel.o are one object
// for two CPUs; counter_bpfel.o and counter_bpfeb.o are for every CPU of their
// byte order that has no file of its own. Objects with other stems are in the
// image of each platform too, in the order their stems appear.
//
// If no two names differ in their endings alone, there is nothing to choose
// from: all objects are one variant, with no platform named. Not empty,
// platforms ("os/arch[/variant]") are those wanted; one variant each.
//
// [ErrInput]: names with and without endings are mixed, or an object lacks a
// platform that another has a file of its own for. [ErrOptions]: a platform
// that cannot be meant.
func Variants(inputs []Input, platforms []string) ([]Variant, error) {
	units, err := unitsOf(inputs)
	if err != nil {
		return nil, err
	}
	choice := slices.ContainsFunc(units, func(u unit) bool { return len(u.files) > 1 })
	switch {
	case !choice && len(platforms) == 0:
		return []Variant{{Inputs: inputs}}, nil
	case !choice:
		return wanted(platforms, func(string) ([]Input, error) { return inputs, nil })
	}
	if err := checkMixed(units); err != nil {
		return nil, err
	}
	if len(platforms) == 0 {
		if platforms, err = implied(units); err != nil {
			return nil, err
		}
	}
	return wanted(platforms, func(arch string) ([]Input, error) { return choose(units, arch) })
}

// unitsOf sorts the inputs by stem, in the order stems appear.
func unitsOf(inputs []Input) ([]unit, error) {
	var units []unit
	at := map[string]int{}
	for _, in := range inputs {
		stem, target := cutTarget(strings.TrimSuffix(filepath.Base(in.Name), objectSuffix))
		i, known := at[stem]
		if !known || target == nil {
			i = len(units)
			units = append(units, unit{stem: stem, files: map[*bpf2goTarget]Input{}})
		}
		if target != nil { // two files of one plain name are for [Build] to refuse
			at[stem] = i
		}
		if other, dup := units[i].files[target]; dup {
			return nil, fmt.Errorf("%w: %q and %q are the same object for the same platform; give one of them", ErrInput, other.Name, in.Name)
		}
		units[i].files[target] = in
	}
	return units, nil
}

func checkMixed(units []unit) error {
	var with, without string
	for _, u := range units {
		for target, in := range u.files {
			name := filepath.Base(in.Name)
			switch {
			case target == nil && without == "":
				without = name
			case target != nil && (with == "" || name < with):
				with = name
			}
		}
	}
	if without == "" {
		return nil
	}
	return fmt.Errorf("%w: the name of %q says which platform it is for, that of %q does not; say it of each object, such as linux/amd64=%s", ErrInput,
		with, without, without)
}

// implied are the platforms for which every unit has an object. It is an error
// if one is left out that a file was made for: generic files are in that sense
// made for something only if there are no others.
func implied(units []unit) ([]string, error) {
	covered, specific := map[string]bool{}, map[string]bool{}
	for _, u := range units {
		for target := range u.files {
			for _, arch := range target.archs {
				covered[arch] = true
				if !target.generic {
					specific[arch] = true
				}
			}
		}
	}
	demanded := specific
	if len(demanded) == 0 {
		demanded = covered
	}
	var platforms []string
	for _, arch := range slices.Sorted(maps.Keys(covered)) {
		if _, err := choose(units, arch); err == nil {
			platforms = append(platforms, "linux/"+arch)
		} else if demanded[arch] {
			return nil, err
		}
	}
	return platforms, nil
}

// choose takes of each unit the object for arch.
func choose(units []unit, arch string) ([]Input, error) {
	inputs := make([]Input, 0, len(units))
	for _, u := range units {
		in, ok := u.best(arch)
		if !ok {
			return nil, fmt.Errorf("%w: there is no object of %q for linux/%s; compile it for that too, or name the platforms there are with --platform", ErrInput, u.stem, arch)
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func (u unit) best(arch string) (Input, bool) {
	for _, t := range bpf2goTargets {
		if in, ok := u.files[t]; ok && slices.Contains(t.archs, arch) {
			return in, true
		}
	}
	return Input{}, false
}

// wanted makes a variant of each platform, once.
func wanted(platforms []string, inputsFor func(arch string) ([]Input, error)) ([]Variant, error) {
	var variants []Variant
	seen := map[schemas.Platform]bool{}
	for _, asked := range platforms {
		p, err := parsePlatform(asked)
		if err != nil {
			return nil, err
		}
		usual := schemas.NewPlatform(p.OS, p.Architecture, p.Variant)
		if seen[usual] {
			continue
		}
		seen[usual] = true
		inputs, err := inputsFor(p.Architecture)
		if err != nil {
			return nil, err
		}
		variants = append(variants, Variant{Platform: asked, Inputs: inputs})
	}
	return variants, nil
}
