// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts program starts by command name.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define TASK_COMM_LEN 16

struct command {
	char comm[TASK_COMM_LEN];
};

/* Least recently used, since command names are the users' to choose. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct command);
	__type(value, __u64);
} execs SEC(".maps");

SEC("tracepoint/sched/sched_process_exec")
int count_exec(void *ctx)
{
	struct command cmd = {};
	__u64 one = 1;
	__u64 *n;

	/* The kernel set the new name before it reached this tracepoint. */
	if (bpf_get_current_comm(&cmd.comm, sizeof(cmd.comm)))
		return 0;

	n = bpf_map_lookup_elem(&execs, &cmd);
	if (!n && !bpf_map_update_elem(&execs, &cmd, &one, BPF_NOEXIST))
		return 0;
	/* Another CPU may have been faster; its entry is ours too. */
	if (!n)
		n = bpf_map_lookup_elem(&execs, &cmd);
	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
