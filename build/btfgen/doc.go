// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package btfgen cuts the BTF of a kernel down to what the CO-RE relocations of
// given objects need of it: a few hundred bytes of several megabytes. A node
// whose kernel has no BTF of its own can then load the objects with those bytes,
// which travel with them.
//
// It does what libbpf's btfgen (`bpftool gen min_core_btf`) does, and holds
// itself to it: each result is checked against the whole BTF by relocating every
// program with both.
//
// Package btfarchive reads collections of kernels' BTF.
package btfgen
