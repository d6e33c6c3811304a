// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import "errors"

// errDevice: the row needs a device that is not there.
var errDevice = errors.New("needs a device")

// env is what a row works with. The whole suite runs in one network namespace of
// its own, on one thread at a time, as root.
type env struct {
	dev, peer   string
	cgroup, dir string
	vars        map[string]string
	undo        []func() error
}

// set makes $name stand for value in the row's attach and flags.
func (e *env) set(name, value string) {
	if e.vars == nil {
		e.vars = map[string]string{}
	}
	e.vars[name] = value
}

// cleanup has f called at the end of the row, last come first.
func (e *env) cleanup(f func() error) { e.undo = append(e.undo, f) }
