// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// A flow dissector that counts, and finds the same addresses in every packet, so
// that all are one flow.

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	__u32 key = 0;
	__u64 *packet = bpf_map_lookup_elem(&packets, &key);

	if (packet)
		__sync_fetch_and_add(packet, 1);
	keys->addr_proto = ETH_P_IP;
	keys->ipv4_src = bpf_htonl(0x01010101);
	keys->ipv4_dst = bpf_htonl(0x02020202);
	return BPF_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
