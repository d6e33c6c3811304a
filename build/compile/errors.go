// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import "errors"

// Errors inside an [Error]; test with [errors.Is].
var (
	// ErrNoCompiler: there is no clang, or not the one asked for, or it cannot
	// compile for BPF.
	ErrNoCompiler = errors.New("no compiler")
	// ErrCompile: a source does not compile; the compiler's words are in the log.
	ErrCompile = errors.New("compilation failed")
)

// Error is a compilation that failed because of a tool or the source.
type Error struct {
	// Err says what failed; its text has the first of the compiler's errors.
	Err error
	// Hint says what to do, such as which package to install, or is "".
	Hint string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }
