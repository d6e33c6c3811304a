// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// A dispatcher of version 1 of libxdp's protocol, with one slot in use: what
// nobody writes any more, and nobody may take for a dispatcher of version 2.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define SLOTS 10
#define PROCEED 31 /* what a stub returns that no program replaced */

/* Before version 2 it had no magic number (libxdp, protocol.org). */
volatile const struct {
	__u8 num_progs_enabled;
	__u32 chain_call_actions[SLOTS];
	__u32 run_prios[SLOTS];
} conf = {
	.num_progs_enabled = 1,
	.chain_call_actions = {1u << XDP_PASS | 1u << PROCEED},
	.run_prios = {50},
};

__attribute__((noinline)) int prog0(struct xdp_md *ctx)
{
	volatile int ret = PROCEED;

	if (!ctx)
		return XDP_ABORTED;
	return ret;
}

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	int ret;

	if (conf.num_progs_enabled < 1)
		return XDP_PASS;
	ret = prog0(ctx);
	if (!((1u << ret) & conf.chain_call_actions[0]))
		return ret;
	return XDP_PASS;
}

__uint(dispatcher_version, 1) SEC("xdp_metadata");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
