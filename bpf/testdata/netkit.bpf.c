// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Programs of a netkit pair: they count the packets each end sends, and leave
// them to whatever comes next.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* A number of <linux/if_link.h> since Linux 6.7. */
#define NETKIT_NEXT (-1)

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

static __always_inline int count(__u32 key)
{
	__u64 *packet = bpf_map_lookup_elem(&packets, &key);

	if (packet)
		__sync_fetch_and_add(packet, 1);
	return NETKIT_NEXT;
}

SEC("netkit/primary")
int on_primary(struct __sk_buff *skb)
{
	return count(0);
}

SEC("netkit/peer")
int on_peer(struct __sk_buff *skb)
{
	return count(1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
