// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// A TCP congestion control that leaves the window alone, and counts sockets that
// choose it and acknowledgements they get. They choose it by the name "bpfimg".

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

/* One counter for each program below, in their order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

static __always_inline int hit(__u32 program)
{
	__u64 *n = bpf_map_lookup_elem(&hits, &program);

	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

/* The kernel's types, of which the loader finds the real offsets. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct tcp_sock {
	__u32 snd_cwnd;
};
#pragma clang attribute pop

struct sock;

struct tcp_congestion_ops {
	__u32 (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
	__u32 (*undo_cwnd)(struct sock *sk);
	void (*init)(struct sock *sk);
	char name[16];
};

SEC("struct_ops")
void count_init(unsigned long long *ctx)
{
	hit(0);
}

SEC("struct_ops")
void count_acks(unsigned long long *ctx)
{
	hit(1);
}

SEC("struct_ops")
__u32 threshold(unsigned long long *ctx)
{
	struct tcp_sock *tp = (struct tcp_sock *)ctx[0];
	__u32 half = tp->snd_cwnd >> 1;

	return half > 2 ? half : 2;
}

SEC("struct_ops")
__u32 undo_window(unsigned long long *ctx)
{
	struct tcp_sock *tp = (struct tcp_sock *)ctx[0];

	return tp->snd_cwnd;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops congestion = {
	.ssthresh = (void *)threshold,
	.cong_avoid = (void *)count_acks,
	.undo_cwnd = (void *)undo_window,
	.init = (void *)count_init,
	.name = "bpfimg",
};

char LICENSE[] SEC("license") = "Dual BSD/GPL";
