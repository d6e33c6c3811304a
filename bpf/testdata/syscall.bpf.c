// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Programs that run once: one that is content, one that is not, and one that reads
// a context.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* One counter for each program below, in their order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
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

SEC("syscall")
int succeed(void *ctx)
{
	return hit(0);
}

SEC("syscall")
int refuse(void *ctx)
{
	hit(1);
	return -7;
}

struct args {
	__u32 number;
	__u32 padding;
};

SEC("syscall")
int read_args(struct args *ctx)
{
	hit(2);
	return ctx->number;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
