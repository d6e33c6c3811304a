// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package served

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// files are open ones: what each descriptor is of, as the kernel writes it.
type files map[int]string

// closedWithin is how long a file may take to be closed by what a command has started
// and not waited for, lookEvery how often that is looked at.
var closedWithin = 5 * time.Second

const lookEvery = 10 * time.Millisecond

// left lists what is open and was not before, if look finds it again and again, and
// returns what it found last. A file that the garbage collector has closed is not seen:
// this finds mistakes, and does not exclude them.
func (before files) left(look func() (files, error)) (left []string, now files, err error) {
	for start := time.Now(); ; time.Sleep(lookEvery) {
		if now, err = look(); err != nil {
			return nil, before, err
		}
		if left = before.missing(now); len(left) == 0 || time.Since(start) > closedWithin {
			return left, now, nil
		}
	}
}

// missing lists what is in now only.
func (before files) missing(now files) (list []string) {
	for _, fd := range slices.Sorted(maps.Keys(now)) {
		if now[fd] != before[fd] {
			list = append(list, fmt.Sprintf("%s (descriptor %d)", now[fd], fd))
		}
	}
	return list
}
