// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Needs an option that no kernel has.

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern bool CONFIG_NOBODY_HAS_THIS __kconfig;

SEC("xdp")
int look(struct xdp_md *ctx)
{
	return CONFIG_NOBODY_HAS_THIS ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
