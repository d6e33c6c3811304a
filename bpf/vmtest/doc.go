// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package vmtest boots real kernels in qemu to test on them what the kernel at
// hand lacks: kprobes, fentry, another way to attach tc programs. It is for
// tests; nothing that ships imports it.
//
// A virtual machine is one kernel and one static binary: [Boot] wraps the binary
// and its files into an initial RAM disk, the kernel starts it as its first
// process, and the binary prints a status line and powers off. Package guest
// beside this one is such a binary; it runs testscript files. fetch-kernels.sh
// gets the kernels.
//
// # How the hook suite calls bpfimg
//
// To start bpfimg takes an emulated processor a quarter of a second, and a row of the
// hook suite (package suite) calls it three times or more. So the rows share one process:
// the test binary of cmd/bpfimg, which runs command lines as main does (package served).
// The checks of a row are the same; a file that a command leaves open, which the end of
// a process would close, fails it too. What is hidden is what one command leaves in the
// process for the next: variables, limits, answers of the kernel that a library remembers.
//
// Therefore one row of each family, ten in all, calls the binary that ships, on every
// kernel. They are marked in the rows and do not change from run to run: who sees a row
// fail sees it again. Among them are one in the foreground, one that names another
// process and, for each kernel that lacks anything, one that is refused. Two ways run all
// rows through the binary that ships: -full, which `make test-kernels` gives, and
// TestOwnKernel, where starting it is cheap.
//
// -full also has scripts repeat more often what they repeat: killing bpfimg step by step,
// and several changing one chain. Without it every kind of step is taken once.
//
// Doors: [OpenKernel], [Boot].
package vmtest
