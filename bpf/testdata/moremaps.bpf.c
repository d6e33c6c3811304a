// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Another object with names that maps.bpf.c has too.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 sample_rate = 1;
const volatile __u32 extra = 1;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, __u32);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int more(struct xdp_md *ctx)
{
	__u32 key = 77;
	__u64 one = sample_rate * extra, *n = bpf_map_lookup_elem(&flows, &key);

	if (n)
		__sync_fetch_and_add(n, one);
	else
		bpf_map_update_elem(&flows, &key, &one, BPF_ANY);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
