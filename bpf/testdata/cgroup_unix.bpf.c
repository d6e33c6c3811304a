// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// One program for each event of a cgroup's UNIX sockets: it counts, and allows.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 5);
	__type(key, __u32);
	__type(value, __u64);
} events SEC(".maps");

#define COUNT(index, section, name)                                     \
	SEC(section)                                                    \
	int name(struct bpf_sock_addr *ctx)                             \
	{                                                               \
		__u32 key = index;                                      \
		__u64 *count = bpf_map_lookup_elem(&events, &key);      \
                                                                        \
		if (count)                                              \
			__sync_fetch_and_add(count, 1);                 \
		return 1;                                               \
	}

COUNT(0, "cgroup/connect_unix", on_connect_unix)
COUNT(1, "cgroup/sendmsg_unix", on_sendmsg_unix)
COUNT(2, "cgroup/recvmsg_unix", on_recvmsg_unix)
COUNT(3, "cgroup/getpeername_unix", on_getpeername_unix)
COUNT(4, "cgroup/getsockname_unix", on_getsockname_unix)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
