/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Copyright The bpfimg Authors */

/* Members of a chain of XDP programs on one interface, for the tests that change
 * the chain under traffic: each counts what it sees in a map that is called as the
 * program is, and has one verdict for all.
 */

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define MEMBER(name, verdict)                          \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_ARRAY);      \
		__uint(max_entries, 1);                \
		__type(key, __u32);                    \
		__type(value, __u64);                  \
	} name##_seen SEC(".maps");                    \
                                                       \
	SEC("xdp")                                     \
	int name(struct xdp_md *ctx)                   \
	{                                              \
		__u32 zero = 0;                        \
		__u64 *n;                              \
                                                       \
		n = bpf_map_lookup_elem(&name##_seen, &zero); \
		if (n)                                 \
			__sync_fetch_and_add(n, 1);    \
		return verdict;                        \
	}                                              \
                                                       \
	char LICENSE[] SEC("license") = "Dual BSD/GPL"

/* What libxdp reads from an object: the priority of a program, and after which
 * of its verdicts the next one runs (libxdp, xdp_helpers.h).
 */
#define RUN_CONFIG(name) _##name SEC(".xdp_run_config")
