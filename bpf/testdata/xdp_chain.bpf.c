// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Programs for one interface, that say in which order they want to run there, and
// count the packets they see.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// What xdp_helpers.h of libxdp calls XDP_RUN_CONFIG.
#define RUN_CONFIG(program) _##program SEC(".xdp_run_config")

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline void count(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&seen, &which);

	if (n)
		__sync_fetch_and_add(n, 1);
}

struct {
	__uint(priority, 10);
	__uint(XDP_PASS, 1);
	__uint(XDP_DROP, 1);
} RUN_CONFIG(early);

// Drops every packet, and has others see it all the same.
SEC("xdp")
int early(struct xdp_md *ctx)
{
	count(0);
	return XDP_DROP;
}

struct {
	__uint(priority, 200);
	__uint(XDP_PASS, 0);
} RUN_CONFIG(late);

SEC("xdp")
int late(struct xdp_md *ctx)
{
	count(1);
	return XDP_PASS;
}

// Says nothing.
SEC("xdp")
int plain(struct xdp_md *ctx)
{
	count(2);
	return XDP_PASS;
}

struct {
	__uint(priority, 7);
	__uint(XDP_TELEPORT, 1);
} RUN_CONFIG(garbled);

// Says something that nobody understands.
SEC("xdp")
int garbled(struct xdp_md *ctx)
{
	count(3);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
