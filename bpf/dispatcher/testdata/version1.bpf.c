// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// A dispatcher as the first version of the protocol has it, with two of the stubs.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

static const volatile struct {
	__u8 enabled;
	__u32 proceed_on[10];
	__u32 priorities[10];
} config = {
	.enabled = 2,
	.proceed_on = { 1U << 31 | 1 << XDP_PASS, 1U << 31 | 1 << XDP_DROP },
	.priorities = { 11, 22 },
};

__attribute__((noinline)) int prog0(struct xdp_md *ctx)
{
	int result = 31;
	asm volatile("" : "+r"(result) : "r"(ctx));
	return result;
}

__attribute__((noinline)) int prog1(struct xdp_md *ctx)
{
	int result = 31;
	asm volatile("" : "+r"(result) : "r"(ctx));
	return result;
}

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	if (config.enabled > 0)
		prog0(ctx);
	if (config.enabled > 1)
		prog1(ctx);
	return XDP_PASS;
}

__uint(dispatcher_version, 1) SEC("xdp_metadata");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
