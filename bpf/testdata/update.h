/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Copyright The bpfimg Authors */

/* Two versions of an image for the tests of update: each program counts what it
 * sees under its own number and VERSION.
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* RFC 3692: for experiments. */
#define PROTO_TEST 253

enum place { XDP, TC, CGROUP, TRACEPOINT, RAW, PLACES };

/* Kept: the same in both versions. The index is place * 2 + VERSION - 1. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES * 2);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

/* Not kept: values of the same size, of another type. */
struct flow {
#if VERSION == 1
	__u32 packets;
	__u32 bytes;
#else
	__u64 packets;
#endif
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

/* Not kept: another size. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8 * VERSION);
	__type(key, __u32);
	__type(value, __u64);
} sized SEC(".maps");

/* .bss is kept, .data has a variable of another name, .rodata is of the code. */
__u64 total;
#if VERSION == 1
int first = 1;
#else
int second = 2;
#endif
const volatile __u32 version = VERSION;

static __always_inline void see(enum place place)
{
	__u32 key = place * 2 + version - 1;
	__u64 *n = bpf_map_lookup_elem(&seen, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
	__sync_fetch_and_add(&total, 1);
}

static __always_inline int is_test(void *data, void *data_end)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	return (void *)(ip + 1) <= data_end && eth->h_proto == bpf_htons(ETH_P_IP) &&
	       ip->protocol == PROTO_TEST;
}

SEC("xdp")
int xdp_see(struct xdp_md *ctx)
{
	if (is_test((void *)(long)ctx->data, (void *)(long)ctx->data_end))
		see(XDP);
	return XDP_PASS;
}

SEC("tc/ingress")
int tc_see(struct __sk_buff *skb)
{
	if (is_test((void *)(long)skb->data, (void *)(long)skb->data_end))
		see(TC);
	return -1; /* TC_ACT_UNSPEC, TCX_NEXT */
}

SEC("cgroup_skb/egress")
int cgroup_see(struct __sk_buff *skb)
{
	see(CGROUP);
	return 1;
}

SEC("tracepoint/sched/sched_process_exec")
int tracepoint_see(void *ctx)
{
	see(TRACEPOINT);
	return 0;
}

#if VERSION == 1
SEC("raw_tp/sched_process_exec")
int raw_old(void *ctx)
#else
SEC("raw_tp/sched_process_exec")
int raw_new(void *ctx)
#endif
{
	see(RAW);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
