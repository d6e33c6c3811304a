// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts the packets and bytes an interface receives, by IP protocol number,
// and lets every one of them pass.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_VLAN_TAGS 2

/* Frames that are not IP (ARP, LLDP, ...) or are cut short are counted under
 * the number IANA reserves, which no protocol uses.
 */
#define PROTO_NOT_IP 255

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* A hash rather than an array of 256, so that a dump lists only what was seen.
 * Per CPU, so that counting needs no atomics.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct counter);
} pkts SEC(".maps");

static __always_inline __u32 ip_protocol(void *data, void *data_end)
{
	struct ethhdr *eth = data;
	void *next = eth + 1;
	__be16 proto;

	if (next > data_end)
		return PROTO_NOT_IP;
	proto = eth->h_proto;

#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		struct vlan_tag *tag = next;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > data_end)
			return PROTO_NOT_IP;
		proto = tag->proto;
		next = tag + 1;
	}

	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = next;

		if ((void *)(ip + 1) <= data_end)
			return ip->protocol;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = next;

		/* The first next-header: an extension header counts as itself. */
		if ((void *)(ip6 + 1) <= data_end)
			return ip6->nexthdr;
	}
	return PROTO_NOT_IP;
}

SEC("xdp")
int xdp_count(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data;
	__u32 proto = ip_protocol(data, data_end);
	struct counter *c;

	c = bpf_map_lookup_elem(&pkts, &proto);
	if (!c) {
		struct counter zero = {};

		/* Another CPU may have been faster; its entry is ours too. */
		bpf_map_update_elem(&pkts, &proto, &zero, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&pkts, &proto);
		if (!c)
			return XDP_PASS;
	}
	c->packets++;
	c->bytes += data_end - data;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
