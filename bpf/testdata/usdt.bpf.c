// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Adds up the arguments of static probes with libbpf's usdt.bpf.h, and counts
// without it. Reading registers is a matter of the architecture, so this object
// is for x86-64 alone.

#define __TARGET_ARCH_x86

#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

/* Hits with three arguments, the sum of each of them; hits without looking. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, __s64);
} sums SEC(".maps");

static __always_inline void add(__u32 entry, long value)
{
	__s64 *n = bpf_map_lookup_elem(&sums, &entry);

	if (n)
		__sync_fetch_and_add(n, value);
}

SEC("usdt")
int BPF_USDT(sum_args, long a, long b, long c)
{
	if (bpf_usdt_arg_cnt(ctx) != 3)
		return 0;
	add(0, 1);
	add(1, a);
	add(2, b);
	add(3, c);
	return 0;
}

SEC("usdt")
int count_hits(void *ctx)
{
	add(4, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
