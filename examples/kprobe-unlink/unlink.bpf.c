// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts calls of the kernel function that removes a name from a file system, and
// the time spent in it. Reads no registers, so one object serves every
// little-endian architecture, with or without kernel BTF. The function is one that
// file systems call, which keeps its name longer than those around a system call:
// do_unlinkat is gone in Linux 7.2.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct duration {
	__u64 returns;
	__u64 nanoseconds;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct duration);
} spent SEC(".maps");

/* Thread -> start of the call it is in. Least recently used, so that a return
 * the kretprobe misses (its maxactive is bounded) leaves no entry for ever.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} running SEC(".maps");

SEC("kprobe/vfs_unlink")
int count_unlink(void *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_ns();
	__u32 zero = 0;
	__u64 *n;

	n = bpf_map_lookup_elem(&calls, &zero);
	if (n)
		__sync_fetch_and_add(n, 1);
	bpf_map_update_elem(&running, &thread, &now, BPF_ANY);
	return 0;
}

SEC("kretprobe/vfs_unlink")
int time_unlink(void *ctx)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct duration *d;
	__u32 zero = 0;
	__u64 *start;

	d = bpf_map_lookup_elem(&spent, &zero);
	if (!d)
		return 0;
	/* Calls under way when the probes were attached have no start. */
	start = bpf_map_lookup_elem(&running, &thread);
	if (!start)
		return 0;
	__sync_fetch_and_add(&d->returns, 1);
	__sync_fetch_and_add(&d->nanoseconds, bpf_ktime_get_ns() - *start);
	bpf_map_delete_elem(&running, &thread);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
