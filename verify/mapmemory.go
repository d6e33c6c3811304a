// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"math/bits"
	"runtime"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
)

// structOpsMemory stands for a struct_ops map, whose memory is that of its value
// and a few pages of trampolines (kernel/bpf/bpf_struct_ops.c).
const structOpsMemory = 64 << 10

// parseSize reads a number of bytes, with Ki, Mi or Gi behind it or nothing.
func parseSize(text string) (uint64, error) {
	digits, shift := text, 0
	for suffix, by := range map[string]int{"Ki": 10, "Mi": 20, "Gi": 30} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			digits, shift = rest, by
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || bits.LeadingZeros64(n) < shift {
		return 0, fmt.Errorf("%q: want a number of bytes such as 64Mi, with Ki, Mi, Gi or nothing behind it", clip(text))
	}
	return n << shift, nil
}

// mapMemory adds up what maps take when they are full. An error names a map
// whose memory nothing bounds.
func mapMemory(maps []schemas.Map) (uint64, error) {
	cpus := uint64(possibleCPUs())
	total := uint64(0)
	for _, m := range maps {
		memory := m.Memory
		if m.Type == "struct_ops" {
			memory = structOpsMemory + uint64(m.ValueSize)
		}
		if memory == 0 && m.MemoryPerCPU == 0 {
			return 0, fmt.Errorf("map %q (%s) takes memory that its definition does not bound", clip(m.Name), m.Type)
		}
		high, each := bits.Mul64(m.MemoryPerCPU, cpus)
		var carry [2]uint64
		total, carry[0] = bits.Add64(total, memory, 0)
		total, carry[1] = bits.Add64(total, each, 0)
		if high|carry[0]|carry[1] != 0 {
			return 0, fmt.Errorf("map %q (%s) takes more memory than can be counted", clip(m.Name), m.Type)
		}
	}
	return total, nil
}

// possibleCPUs is how many this machine can have: as the kernel counts them, or
// else as many as there are now, on a machine that loads nothing anyway.
func possibleCPUs() int {
	if n, err := ebpf.PossibleCPU(); err == nil {
		return n
	}
	return runtime.NumCPU()
}

// sizeText is for people.
func sizeText(n uint64) string {
	for _, unit := range []struct {
		shift int
		name  string
	}{{30, "Gi"}, {20, "Mi"}, {10, "Ki"}} {
		if n >= 1<<unit.shift {
			return fmt.Sprintf("%.1f%s", float64(n)/float64(uint64(1)<<unit.shift), unit.name)
		}
	}
	return strconv.FormatUint(n, 10)
}
