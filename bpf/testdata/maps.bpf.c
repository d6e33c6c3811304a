// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Variables of every section, maps in maps, and a tail call through an array that
// the object fills itself.

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum mode { OFF, COUNT };

struct config {
	__u32 step;
	__u16 ports[2];
	bool on;
	char iface[16];
	enum mode mode;
	__u32 low : 4, high : 4;
};

const volatile __u32 sample_rate = 1;
const volatile struct config config = { .step = 1, .ports = { 80, 443 }, .iface = "lo" };
__s16 bias = -5;
__u64 total, tailed, untailed;
void *somewhere;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { &first, &second } };

int tail(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} jumps SEC(".maps") = { .values = { [1] = &tail } };

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 key = config.mode;
	__u64 one = config.step, *n = bpf_map_lookup_elem(&flows, &key);

	if (n)
		__sync_fetch_and_add(n, one);
	else
		bpf_map_update_elem(&flows, &key, &one, BPF_ANY);
	bpf_ringbuf_output(&events, &one, sizeof(one), 0);
	__sync_fetch_and_add(&total, sample_rate);
	bpf_tail_call(ctx, &jumps, 1);
	__sync_fetch_and_add(&untailed, 1);
	return XDP_PASS;
}

SEC("xdp/tail")
int tail(struct xdp_md *ctx)
{
	__u32 key = 0, which = 1;
	void *inner = bpf_map_lookup_elem(&outer, &which);
	__u64 *n = inner ? bpf_map_lookup_elem(inner, &key) : 0;

	if (n)
		__sync_fetch_and_add(n, 1);
	__sync_fetch_and_add(&tailed, 1);
	return somewhere || bias > 100 ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
