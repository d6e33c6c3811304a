// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package bpf is what touches the kernel: it loads verified objects, attaches
// their programs to hooks, pins what must survive the process and keeps a record
// of where each instance came from. One code serves the command line and
// anything unattended. Only Linux can run it; elsewhere every door answers
// [ErrNeedsLinux].
//
// Doors: [Open] gives a [Manager]; its Run, List, Stop and the map calls do the
// rest. A hook is one file and one row of the hook table.
package bpf
