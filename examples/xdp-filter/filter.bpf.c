// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Drops TCP and UDP packets to the destination ports listed in the map `ports`
// and counts what it dropped. An empty map lets everything pass.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_VLAN_TAGS 2
#define MAX_IPV6_EXTENSIONS 6

#define IP_FRAGMENT_OFFSET 0x1fff /* of iphdr.frag_off, in host order */
#define IP6_FRAGMENT_OFFSET 0xfff8 /* of the fragment header's offset field */

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* The start that hop-by-hop, routing, destination and fragment headers share;
 * in a fragment header len is reserved and rest holds the offset.
 */
struct ip6_extension {
	__u8 nexthdr;
	__u8 len;
	__be16 rest;
	__u32 more;
};

struct service {
	__be16 port;
	__u8 protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 zero;
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

/* Written by the operator: destination -> XDP_DROP (1), or XDP_PASS (2) to
 * switch a rule off without deleting it. Any other action passes too.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service);
	__type(value, enum xdp_action);
} ports SEC(".maps");

/* Written here. Apart from `ports`, so that changing a rule keeps its count. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service);
	__type(value, struct counter);
} drops SEC(".maps");

/* Returns the TCP or UDP header of an IPv4 packet and its protocol, or NULL:
 * another protocol, a malformed header, or a fragment other than the first,
 * which has no ports and is useless to the receiver without the first.
 */
static __always_inline void *ipv4_transport(struct iphdr *ip, void *data_end, __u8 *protocol)
{
	__u32 len;

	if ((void *)(ip + 1) > data_end)
		return NULL;
	len = ip->ihl * 4;
	if (len < sizeof(*ip) || ip->frag_off & bpf_htons(IP_FRAGMENT_OFFSET))
		return NULL;
	*protocol = ip->protocol;
	return (void *)ip + len;
}

/* The same for IPv6. Walks the extension headers, since a filter that stops at
 * the first one is bypassed by adding it.
 */
static __always_inline void *ipv6_transport(struct ipv6hdr *ip6, void *data_end, __u8 *protocol)
{
	void *next = ip6 + 1;
	__u8 nexthdr;

	if (next > data_end)
		return NULL;
	nexthdr = ip6->nexthdr;

	for (int i = 0; i < MAX_IPV6_EXTENSIONS; i++) {
		struct ip6_extension *ext = next;
		__u32 len;

		if (nexthdr != IPPROTO_HOPOPTS && nexthdr != IPPROTO_ROUTING &&
		    nexthdr != IPPROTO_DSTOPTS && nexthdr != IPPROTO_FRAGMENT)
			break;
		if ((void *)(ext + 1) > data_end)
			return NULL;
		if (nexthdr == IPPROTO_FRAGMENT) {
			if (ext->rest & bpf_htons(IP6_FRAGMENT_OFFSET))
				return NULL;
			len = sizeof(*ext);
		} else {
			len = (ext->len + 1) * 8;
		}
		nexthdr = ext->nexthdr;
		next += len;
	}
	*protocol = nexthdr;
	return next;
}

/* Fills in the destination of a TCP or UDP packet; false if it has none. */
static __always_inline int parse(void *data, void *data_end, struct service *dst)
{
	struct ethhdr *eth = data;
	void *next = eth + 1;
	struct udphdr *l4;
	__u8 protocol = 0;
	__be16 proto;

	if (next > data_end)
		return 0;
	proto = eth->h_proto;

#pragma unroll
	for (int i = 0; i < MAX_VLAN_TAGS; i++) {
		struct vlan_tag *tag = next;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > data_end)
			return 0;
		proto = tag->proto;
		next = tag + 1;
	}

	if (proto == bpf_htons(ETH_P_IP))
		l4 = ipv4_transport(next, data_end, &protocol);
	else if (proto == bpf_htons(ETH_P_IPV6))
		l4 = ipv6_transport(next, data_end, &protocol);
	else
		return 0;

	/* TCP's ports are where UDP's are. */
	if (!l4 || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) ||
	    (void *)(l4 + 1) > data_end)
		return 0;
	dst->port = l4->dest;
	dst->protocol = protocol;
	return 1;
}

static __always_inline void count(struct service *dst, __u64 bytes)
{
	struct counter first = { .packets = 1, .bytes = bytes };
	struct counter *c;

	c = bpf_map_lookup_elem(&drops, dst);
	if (!c && !bpf_map_update_elem(&drops, dst, &first, BPF_NOEXIST))
		return;
	/* Another CPU may have been faster; its entry is ours too. */
	if (!c)
		c = bpf_map_lookup_elem(&drops, dst);
	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

SEC("xdp")
int xdp_filter(struct xdp_md *ctx)
{
	void *data_end = (void *)(long)ctx->data_end;
	void *data = (void *)(long)ctx->data;
	struct service dst = {};
	enum xdp_action *action;

	if (!parse(data, data_end, &dst))
		return XDP_PASS;

	action = bpf_map_lookup_elem(&ports, &dst);
	if (!action || *action != XDP_DROP)
		return XDP_PASS;

	count(&dst, data_end - data);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
