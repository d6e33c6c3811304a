// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// One program for each place on the way of a route: it counts, and the one at
// xmit drops.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

static __always_inline void count(__u32 key)
{
	__u64 *packet = bpf_map_lookup_elem(&packets, &key);

	if (packet)
		__sync_fetch_and_add(packet, 1);
}

SEC("lwt_in")
int on_in(struct __sk_buff *skb)
{
	count(0);
	return BPF_OK;
}

SEC("lwt_out")
int on_out(struct __sk_buff *skb)
{
	count(1);
	return BPF_OK;
}

/* Whoever sends is told that it was not permitted. */
SEC("lwt_xmit")
int on_xmit(struct __sk_buff *skb)
{
	count(2);
	return BPF_DROP;
}

SEC("lwt_seg6local")
int on_segment(struct __sk_buff *skb)
{
	count(3);
	return BPF_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
