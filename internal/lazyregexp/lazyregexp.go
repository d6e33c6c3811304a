// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package lazyregexp has regular expressions that are compiled when they are first
// used. Compiled in package variables, ours took a millisecond of the start of
// every command, whichever few of them it needed.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns what compiles expr at the first call and returns the same at every
// call, from any goroutine. An expr that is wrong panics there, each time.
func New(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
