// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// An action of traffic control: it counts packets, and lets them pass.

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

SEC("action")
int count(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *packet = bpf_map_lookup_elem(&packets, &key);

	if (packet)
		__sync_fetch_and_add(packet, 1);
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
