// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// The section names are those of libbpf's section_defs (libbpf.c).

// Words for targets that several hooks share.
const (
	targetInterface  = "network interface"
	targetFunction   = "kernel function"
	targetBinary     = "binary:symbol"
	targetTracepoint = "group/name"
	targetCgroup     = "cgroup path"
	targetMap        = "map of the same image"
)
