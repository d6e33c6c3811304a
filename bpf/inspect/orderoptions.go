// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// Names of the options that say where among other programs one runs.
const (
	// OptionPriority is a number, of which lower ones run first.
	OptionPriority = "priority"
	// OptionOrder is [OrderFirst] or [OrderLast].
	OptionOrder = "order"
	// OptionBefore and OptionAfter name the program to run directly before or
	// after: INSTANCE, INSTANCE/PROGRAM, or id:NUMBER.
	OptionBefore = "before"
	OptionAfter  = "after"
	// OptionPreorder is "true" for programs of a cgroup that run before those of
	// the cgroups below.
	OptionPreorder = "preorder"
)

// Values of [OptionOrder].
const (
	OrderFirst = "first"
	OrderLast  = "last"
)

// orderOption, beforeOption and afterOption are those of hooks where several
// programs run in an order that can be told. when is added to the help.
func orderOption(when string) OptionInfo {
	return OptionInfo{Name: OptionOrder, Values: []string{OrderFirst, OrderLast}, Help: "before or after all that are there" + when}
}

func beforeOption(when string) OptionInfo {
	return OptionInfo{Name: OptionBefore, Help: "the program to run directly before: INSTANCE, INSTANCE/PROGRAM or id:NUMBER" + when}
}

func afterOption(when string) OptionInfo {
	return OptionInfo{Name: OptionAfter, Help: "the program to run directly after, as before" + when}
}

// cgroupOrder are those of every hook on control groups, besides others.
func cgroupOrder(others ...OptionInfo) []OptionInfo {
	const when = " (Linux 6.17)"
	return append(others, orderOption(when), beforeOption(when), afterOption(when), OptionInfo{
		Name: OptionPreorder, Values: []string{"true", "false"}, Default: "false",
		Help: "run before the programs of the cgroups below instead of after them" + when,
	})
}
