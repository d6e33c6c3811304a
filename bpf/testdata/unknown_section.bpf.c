// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// A section name that says nothing about the program type.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("nosuchhook/thing")
int lost(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
