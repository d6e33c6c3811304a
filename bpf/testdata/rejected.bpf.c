// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Reads a packet without looking where it ends: the verifier must refuse it.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_rejected(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	return data[64] ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
