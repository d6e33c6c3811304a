// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"fmt"
	"strings"
)

// Actions is a set of results of an XDP program after which the next one runs: a
// bit for each, by the numbers of enum xdp_action (linux/bpf.h). In the kernel
// the bit of the stubs' result is always set too; it is never shown.
type Actions uint32

// ProceedOnPass is the default: the next program runs when this one let the
// packet pass.
const ProceedOnPass Actions = 1 << 2

// proceedOnStub is the bit of the stubs' result, 31: a chain goes on where a
// component is gone.
const proceedOnStub Actions = 1 << 31

// actionNames are those of enum xdp_action by number, without "XDP_" and in lower
// case.
var actionNames = [...]string{"aborted", "drop", "pass", "tx", "redirect"}

// ParseActions reads a comma list of actions, such as "pass,drop"; each stands
// there once at most.
func ParseActions(list string) (Actions, error) {
	var set Actions
	for name := range strings.SplitSeq(list, ",") {
		bit := Actions(0)
		for n, known := range actionNames {
			if name == known {
				bit = 1 << n
			}
		}
		if bit == 0 {
			return 0, fmt.Errorf("there is no XDP action %q: it is one of %s", name, strings.Join(actionNames[:], ", "))
		}
		if set&bit != 0 {
			return 0, fmt.Errorf("the XDP action %q is there twice", name)
		}
		set |= bit
	}
	return set, nil
}

// String is the comma list in the order of the kernel's numbers. Bits without a
// name are shown as their numbers.
func (a Actions) String() string {
	var names []string
	for n := range 31 {
		switch {
		case a&(1<<n) == 0:
		case n < len(actionNames):
			names = append(names, actionNames[n])
		default:
			names = append(names, fmt.Sprint(n))
		}
	}
	return strings.Join(names, ",")
}
