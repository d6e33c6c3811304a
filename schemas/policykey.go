// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

// UnmarshalYAML accepts a file name as well as an object. decode is the outer
// decoder, so unknown keys are as wrong here as everywhere.
func (k *PolicyKey) UnmarshalYAML(decode func(any) error) error {
	var file string
	if decode(&file) == nil {
		*k = PolicyKey{File: file}
		return nil
	}
	type plain PolicyKey // without this method
	return decode((*plain)(k))
}
