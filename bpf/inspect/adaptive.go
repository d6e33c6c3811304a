// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"strings"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// maxQuestions bounds the CO-RE relocations that are looked at: what kind one is
// of is nowhere but in its text, which repeats the name of a type.
const maxQuestions = 8192

// questions finds code that asks what the kernel has: by CO-RE relocations whose
// outcome is yes or no, by the kernel's configuration, by symbols that it does
// without.
type questions struct {
	// known are the relocations looked at, which programs share with their
	// subprograms.
	known map[*btf.CORERelocation]bool
}

func newQuestions() *questions { return &questions{known: map[*btf.CORERelocation]bool{}} }

// in says whether instructions ask. weak are the symbols the object does without.
func (q *questions) in(insns asm.Instructions, weak map[string]bool) bool {
	for i := range insns {
		ins := &insns[i]
		if ref := ins.Reference(); ref == KconfigMap || weak[ref] {
			return true
		}
		if relo := btf.CORERelocationMetadata(ins); relo != nil && q.asks(relo) {
			return true
		}
	}
	return false
}

func (q *questions) asks(relo *btf.CORERelocation) bool {
	answer, ok := q.known[relo]
	if ok || len(q.known) >= maxQuestions {
		return answer
	}
	kind, _, _ := strings.Cut(relo.String(), ",")
	answer = strings.HasSuffix(kind, "_exists") || strings.HasSuffix(kind, "_matches")
	q.known[relo] = answer
	return answer
}
