// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Calls a helper the kernel reserves to GPL-compatible programs without claiming
// to be one: loading it must fail with a message about the license.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int xdp_nogpl(struct xdp_md *ctx)
{
	char fmt[] = "packet";

	bpf_trace_printk(fmt, sizeof(fmt));
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Proprietary";
