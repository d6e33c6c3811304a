// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts the sockets that processes of a cgroup bind, and forbids port 7007.

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} binds SEC(".maps");

struct socket;

SEC("lsm_cgroup/socket_bind")
int BPF_PROG(on_bind, struct socket *sock, struct sockaddr *address, int len)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&binds, &key);
	struct sockaddr_in in = {};

	if (count)
		__sync_fetch_and_add(count, 1);
	if (len < (int)sizeof(in) || bpf_probe_read_kernel(&in, sizeof(in), address))
		return 1;
	return in.sin_port == bpf_htons(7007) ? 0 : 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
