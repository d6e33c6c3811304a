// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// A netfilter program: it counts packets and drops them.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* A number of <linux/netfilter.h>, whose other headers are not for BPF. */
#define NF_DROP 0

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

SEC("netfilter")
int drop(void *ctx)
{
	__u32 key = 0;
	__u64 *packet = bpf_map_lookup_elem(&packets, &key);

	if (packet)
		__sync_fetch_and_add(packet, 1);
	return NF_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
