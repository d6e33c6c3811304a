// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"cmp"
	"slices"
	"time"
)

// place is what decides where in a chain a component runs.
type place struct {
	priority uint32
	name     string
	loaded   bool // it was in the chain already
	tag      string
	loadTime time.Duration // since boot
}

// compare orders as the protocol does, so that whoever changes the chain next
// finds the order he would have made. What the protocol says of the size of
// programs that are not loaded has no meaning here: only one is new.
func (p place) compare(q place) int {
	return cmp.Or(
		cmp.Compare(p.priority, q.priority),
		cmp.Compare(p.name, q.name),
		-compareBool(p.loaded, q.loaded),
		cmp.Compare(p.tag, q.tag),
		cmp.Compare(p.loadTime, q.loadTime),
	)
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// sortByPlace puts a chain in order; what is equal keeps it.
func sortByPlace[T any](chain []T, at func(T) place) {
	slices.SortStableFunc(chain, func(a, b T) int { return at(a).compare(at(b)) })
}
