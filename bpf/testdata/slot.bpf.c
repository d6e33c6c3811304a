// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// An XDP program of which another can replace the function decide.

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

__attribute__((noinline)) int decide(struct xdp_md *ctx)
{
	/* The compiler must not know the result of what may be replaced. */
	volatile int verdict = XDP_PASS;

	hit(0);
	return verdict;
}

SEC("xdp")
int with_slot(struct xdp_md *ctx)
{
	return decide(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
