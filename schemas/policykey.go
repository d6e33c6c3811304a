// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import (
	"fmt"
	"time"
)

// policyKeyText is a [PolicyKey] as it is written.
type policyKeyText struct {
	File      string  `yaml:"file"`
	NotBefore *string `yaml:"notBefore"`
	NotAfter  *string `yaml:"notAfter"`
}

// UnmarshalYAML accepts a file name as well as an object. decode is the outer
// decoder, so unknown keys are as wrong here as everywhere. Times are RFC 3339
// with their zone, which a date alone leaves open.
func (k *PolicyKey) UnmarshalYAML(decode func(any) error) error {
	var file string
	if decode(&file) == nil {
		*k = PolicyKey{File: file}
		return nil
	}
	var key policyKeyText
	if err := decode(&key); err != nil {
		return err
	}
	*k = PolicyKey{File: key.File}
	for _, bound := range []struct {
		name string
		text *string
		into **time.Time
	}{{"notBefore", key.NotBefore, &k.NotBefore}, {"notAfter", key.NotAfter, &k.NotAfter}} {
		if bound.text == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339, *bound.text)
		if err != nil {
			return fmt.Errorf("key %q: %s %q: want a time such as 2027-01-01T00:00:00Z", key.File, bound.name, *bound.text)
		}
		*bound.into = &at
	}
	return nil
}
