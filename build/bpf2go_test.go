// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

func TestCutTarget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, stem, ending string }{
		{"counter_x86_bpfel", "counter", "x86_bpfel"},
		{"counter_bpfel_x86", "counter", "x86_bpfel"},
		{"counter_arm64_bpfel", "counter", "arm64_bpfel"},
		{"counter_bpfel", "counter", "bpfel"},
		{"counter_bpfeb", "counter", "bpfeb"},
		{"my_x86_counter_bpfeb", "my_x86_counter", "bpfeb"},
		{"counter_newcpu_bpfel", "counter_newcpu", "bpfel"},
		{"counter", "counter", ""},
		{"counterbpfel", "counterbpfel", ""},
		{"counter_bpfel.bpf", "counter_bpfel.bpf", ""},
		{"_bpfel", "_bpfel", ""},
		{"x86_bpfel", "x86", "bpfel"},
		{"", "", ""},
	} {
		stem, target := cutTarget(tc.name)
		ending := ""
		if target != nil {
			ending = target.endings[0]
		}
		if stem != tc.stem || ending != tc.ending {
			t.Errorf("%q is %q and %q, want %q and %q", tc.name, stem, ending, tc.stem, tc.ending)
		}
	}
}

// TestByteOrders: what the names say and what [choosePlatform] knows agree.
func TestByteOrders(t *testing.T) {
	t.Parallel()
	for _, target := range bpf2goTargets {
		for _, arch := range target.archs {
			big := target.endings[0][len(target.endings[0])-2:] == "eb"
			if bigEndian[arch] != big || littleEndian[arch] == big {
				t.Errorf("%s of %s", arch, target.endings[0])
			}
		}
	}
}

// TestHintsOfNames: for an object alone, its name means the same as among others.
func TestHintsOfNames(t *testing.T) {
	t.Parallel()
	for _, target := range bpf2goTargets {
		object := "../examples/xdp-counter/counter.bpf.o"
		if bigEndian[target.archs[0]] {
			object = "../bpf/testdata/counter_eb.bpf.o"
		}
		data, err := os.ReadFile(object)
		if err != nil {
			t.Fatal(err)
		}
		for _, ending := range target.endings {
			obj, err := inspect.Object("counter_"+ending+".o", data)
			if err != nil {
				t.Fatal(err)
			}
			if (obj.Arch == "") != target.generic || !target.generic && !slices.Contains(target.archs, obj.Arch) {
				t.Errorf("counter_%s.o is for %q, want one of %q", ending, obj.Arch, target.archs)
			}
		}
	}
}

// TestPlatformsInTheSpecification: docs/spec.md says what the code does.
func TestPlatformsInTheSpecification(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{fmt.Sprintf("- has at most %d platforms.", MaxPlatforms)}
	for _, target := range bpf2goTargets {
		lines = append(lines, fmt.Sprintf("| `_%s.o` | %s |\n", target.endings[0], strings.Join(target.archs, ", ")))
	}
	for _, line := range lines {
		if !strings.Contains(string(spec), "\n"+line) {
			t.Errorf("docs/spec.md lacks the line %s", line)
		}
	}
}

func FuzzVariants(f *testing.F) {
	f.Add("a_x86_bpfel.o", "a_arm64_bpfel.o", "b_bpfel.o", "linux/amd64")
	f.Add("a_bpfel.o", "a_bpfeb.o", "b.o", "")
	f.Add("", "/", "_bpfel", "linux/x86_64")
	f.Fuzz(func(t *testing.T, a, b, c, platform string) {
		inputs := []Input{{Name: a}, {Name: b}, {Name: c}}
		var platforms []string
		if platform != "" {
			platforms = []string{platform}
		}
		variants, err := Variants(inputs, platforms)
		if (err == nil) != (len(variants) > 0) {
			t.Fatalf("%d variants, error %v", len(variants), err)
		}
		seen := map[string]bool{}
		for _, v := range variants {
			if seen[v.Platform] || len(v.Inputs) == 0 {
				t.Fatal(fmt.Sprint("platform twice or without objects: ", v.Platform))
			}
			seen[v.Platform] = true
		}
	})
}
