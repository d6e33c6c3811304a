// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Takes the place of a function of an XDP program.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* One counter for each program below, in their order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

static __always_inline int hit(__u32 program)
{
	__u64 *n = bpf_map_lookup_elem(&hits, &program);

	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

SEC("freplace/decide")
int decide_instead(struct xdp_md *ctx)
{
	hit(0);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
