// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command bench measures the speed and size of bpfimg against a bare cilium/ebpf
// loader and the tools it replaces, all in the same run on the same machine:
// `make bench`, as root. It prints numbers and ratios and judges nothing; tests
// never depend on them.
package main
