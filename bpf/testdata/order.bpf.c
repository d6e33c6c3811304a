// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Programs that know who ran before them: each has a digit, finds those of the
// others in the packet's mark, and appends its own.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* The digit, 1 to 7, by --set. */
const volatile __u32 number = 1;

/* Entry 0: the mark that the program last found, in octal the digits of those
 * before it. Entry 1: how many packets it has seen.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} before SEC(".maps");

static __always_inline void pass(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&before, &key);

	if (value)
		*value = skb->mark;
	key = 1;
	value = bpf_map_lookup_elem(&before, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
	skb->mark = skb->mark << 3 | number;
}

SEC("tc")
int on_tc(struct __sk_buff *skb)
{
	pass(skb);
	return -1; /* TC_ACT_UNSPEC, TCX_NEXT, NETKIT_NEXT */
}

SEC("tc")
int on_tc_too(struct __sk_buff *skb)
{
	pass(skb);
	return -1;
}

SEC("cgroup_skb/egress")
int on_cgroup(struct __sk_buff *skb)
{
	pass(skb);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
