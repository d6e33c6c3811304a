// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Programs of traffic control that count the test's packets and return a code that
// is set from outside, each compiled into something else.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* IEEE 802: for local experiments. */
#define PROTO_TEST 0x88b5

const volatile __s32 verdict = TC_ACT_OK;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline void see(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *n;

	if (skb->protocol != bpf_htons(PROTO_TEST) && skb->protocol != bpf_htons(ETH_P_IP))
		return;
	n = bpf_map_lookup_elem(&seen, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* One function. */
SEC("tc")
int plain(struct __sk_buff *skb)
{
	see(skb);
	return verdict;
}

/* Its declaration alone does not say what the argument is. */
SEC("tc")
int untyped(void *ctx)
{
	see(ctx);
	return verdict;
}

static __noinline int inner(struct __sk_buff *skb, int code)
{
	see(skb);
	return code + (skb->mark & 0);
}

__noinline int outer(struct __sk_buff *skb)
{
	return inner(skb, verdict);
}

/* Functions of its own, one global. */
SEC("tc")
int calls(struct __sk_buff *skb)
{
	return outer(skb);
}

SEC("tc")
int tail(struct __sk_buff *skb)
{
	see(skb);
	return verdict;
}

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} jump SEC(".maps") = {
	.values = {[0] = (void *)&tail},
};

/* The code is that of another program. */
SEC("tc")
int tails(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &jump, 0);
	return TC_ACT_SHOT;
}

/* Eight functions deep, as deep as the verifier allows (MAX_CALL_FRAMES). */
#define FRAME(name, next)                                      \
	static __noinline int name(struct __sk_buff *skb)      \
	{                                                      \
		return next(skb) + (skb->mark & 0);            \
	}

static __noinline int frame8(struct __sk_buff *skb)
{
	see(skb);
	return verdict;
}
FRAME(frame7, frame8)
FRAME(frame6, frame7)
FRAME(frame5, frame6)
FRAME(frame4, frame5)
FRAME(frame3, frame4)
FRAME(frame2, frame3)

SEC("tc")
int deep(struct __sk_buff *skb)
{
	return frame2(skb);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
