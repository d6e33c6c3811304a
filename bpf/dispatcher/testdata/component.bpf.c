// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Components that write down that they ran.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define TRACE 64

/* Who runs and what it decides; set before loading. */
const volatile __u32 me;
const volatile __u32 verdict = XDP_PASS;

/* Who ran, in order: the first value is how many did. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 + TRACE);
	__type(key, __u32);
	__type(value, __u32);
} trace SEC(".maps");

/* How often this one ran. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

static __always_inline void write_down(void)
{
	__u32 first = 0;
	__u32 *count = bpf_map_lookup_elem(&trace, &first);

	if (!count || *count >= TRACE)
		return;
	__u32 next = ++*count;
	__u32 *entry = bpf_map_lookup_elem(&trace, &next);
	if (entry)
		*entry = me;
}

static __always_inline int run(void)
{
	__u32 first = 0;
	__u64 *n = bpf_map_lookup_elem(&hits, &first);

	if (n)
		__sync_fetch_and_add(n, 1);
	write_down();
	return verdict;
}

SEC("freplace/prog0")
int component(struct xdp_md *ctx)
{
	return run();
}

/* Longer than the 15 characters that the kernel keeps of a name. */
SEC("freplace/prog0")
int component_with_a_long_name(struct xdp_md *ctx)
{
	return run();
}

/* Moves where the packet begins, which newer kernels allow only in the place of
 * what may do so too.
 */
SEC("freplace/prog0")
int moves(struct xdp_md *ctx)
{
	if (bpf_xdp_adjust_head(ctx, 4) < 0)
		return XDP_ABORTED;
	return run();
}

/* A stub takes one argument. */
SEC("freplace/prog0")
int two_arguments(struct xdp_md *ctx, int more)
{
	return more;
}

/* An XDP program that is no dispatcher. */
SEC("xdp")
int alone(struct xdp_md *ctx)
{
	return run();
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
