// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts calls of and returns from kernel functions that a pattern matches.

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

/* vfs_unlink and vfs_link, among others. */
SEC("kprobe.multi/vfs_*link")
int count_calls(void *ctx)
{
	return hit(0);
}

SEC("kretprobe.multi/vfs_*link")
int count_returns(void *ctx)
{
	return hit(1);
}

/* Twice for each call: at its start and at its end. */
SEC("kprobe.session/vfs_*link")
int count_both(void *ctx)
{
	return hit(2);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
