// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts files unlinked, before, after and inside the kernel functions that do
// it. The fmod_ret program returns 0, which lets its function go on.

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

SEC("fentry/vfs_unlink")
int count_entry(unsigned long long *ctx)
{
	return hit(0);
}

SEC("fexit/vfs_unlink")
int count_exit(unsigned long long *ctx)
{
	return hit(1);
}

SEC("fmod_ret/security_inode_unlink")
int count_check(unsigned long long *ctx)
{
	return hit(2);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
