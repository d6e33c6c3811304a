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
// Doors: [OpenKernel], [Boot].
package vmtest
