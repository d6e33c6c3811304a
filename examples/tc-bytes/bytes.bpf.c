// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts the packets and bytes of an interface in both directions. Works through
// tcx and through a clsact qdisc in direct-action mode.

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

enum direction {
	INGRESS,
	EGRESS,
	DIRECTIONS,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DIRECTIONS);
	__type(key, enum direction);
	__type(value, struct counter);
} traffic SEC(".maps");

static __always_inline int count(struct __sk_buff *skb, enum direction dir)
{
	struct counter *c = bpf_map_lookup_elem(&traffic, &dir);

	if (c) {
		/* A super-packet of GSO or GRO stands for several on the wire. */
		c->packets += skb->gso_segs ?: 1;
		c->bytes += skb->len;
	}
	/* No verdict: the next program decides. TCX_NEXT is the same number. */
	return TC_ACT_UNSPEC;
}

SEC("tc/ingress")
int tc_ingress(struct __sk_buff *skb)
{
	return count(skb, INGRESS);
}

SEC("tc/egress")
int tc_egress(struct __sk_buff *skb)
{
	return count(skb, EGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
