// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import "strings"

// joinedErrors are several errors in one line, since one line is what people see
// of an error; [errors.Join] would make it several.
type joinedErrors []error

// Error joins the texts with semicolons.
func (j joinedErrors) Error() string {
	texts := make([]string, len(j))
	for i, err := range j {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap is for [errors.Is] and [errors.As].
func (j joinedErrors) Unwrap() []error { return j }

// join is nil when all errs are, and the error itself when there is one.
func join(errs ...error) error {
	var j joinedErrors
	for _, err := range errs {
		if err != nil {
			j = append(j, err)
		}
	}
	switch len(j) {
	case 0:
		return nil
	case 1:
		return j[0]
	}
	return j
}
