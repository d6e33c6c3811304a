// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Programs that know who ran before them: each has a digit, finds those of the
// others in the packet's mark, and appends its own.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* The digit, 1 to 6, by --set; the second program of a kind has 7. */
const volatile __u32 number = 1;

#define NUMBER_TOO 7

/* Two entries for each of the two: the mark that the program last found, in octal
 * the digits of those before it, and how many packets it has seen.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} before SEC(".maps");

static __always_inline void pass(struct __sk_buff *skb, __u32 key, __u32 digit)
{
	__u64 *value = bpf_map_lookup_elem(&before, &key);

	if (value)
		*value = skb->mark;
	key++;
	value = bpf_map_lookup_elem(&before, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
	skb->mark = skb->mark << 3 | digit;
}

SEC("tc")
int on_tc(struct __sk_buff *skb)
{
	pass(skb, 0, number);
	return -1; /* TC_ACT_UNSPEC, TCX_NEXT, NETKIT_NEXT */
}

SEC("tc")
int on_tc_too(struct __sk_buff *skb)
{
	pass(skb, 2, NUMBER_TOO);
	return -1;
}

SEC("cgroup_skb/egress")
int on_cgroup(struct __sk_buff *skb)
{
	pass(skb, 0, number);
	return 1;
}

SEC("cgroup_skb/egress")
int on_cgroup_too(struct __sk_buff *skb)
{
	pass(skb, 2, NUMBER_TOO);
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
