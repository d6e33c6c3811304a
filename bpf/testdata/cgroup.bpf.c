// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// One program for each event of a cgroup: it counts, and allows.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 23);
	__type(key, __u32);
	__type(value, __u64);
} events SEC(".maps");

#define COUNT(index, section, name, context)                            \
	SEC(section)                                                    \
	int name(struct context *ctx)                                   \
	{                                                               \
		__u32 key = index;                                      \
		__u64 *count = bpf_map_lookup_elem(&events, &key);      \
                                                                        \
		if (count)                                              \
			__sync_fetch_and_add(count, 1);                 \
		return 1;                                               \
	}

COUNT(0, "cgroup_skb/ingress", on_ingress, __sk_buff)
COUNT(1, "cgroup_skb/egress", on_egress, __sk_buff)
COUNT(2, "cgroup/sock_create", on_sock_create, bpf_sock)
COUNT(3, "cgroup/sock_release", on_sock_release, bpf_sock)
COUNT(4, "cgroup/post_bind4", on_post_bind4, bpf_sock)
COUNT(5, "cgroup/post_bind6", on_post_bind6, bpf_sock)
COUNT(6, "cgroup/bind4", on_bind4, bpf_sock_addr)
COUNT(7, "cgroup/bind6", on_bind6, bpf_sock_addr)
COUNT(8, "cgroup/connect4", on_connect4, bpf_sock_addr)
COUNT(9, "cgroup/connect6", on_connect6, bpf_sock_addr)
COUNT(10, "cgroup/sendmsg4", on_sendmsg4, bpf_sock_addr)
COUNT(11, "cgroup/sendmsg6", on_sendmsg6, bpf_sock_addr)
COUNT(12, "cgroup/recvmsg4", on_recvmsg4, bpf_sock_addr)
COUNT(13, "cgroup/recvmsg6", on_recvmsg6, bpf_sock_addr)
COUNT(14, "cgroup/getpeername4", on_getpeername4, bpf_sock_addr)
COUNT(15, "cgroup/getpeername6", on_getpeername6, bpf_sock_addr)
COUNT(16, "cgroup/getsockname4", on_getsockname4, bpf_sock_addr)
COUNT(17, "cgroup/getsockname6", on_getsockname6, bpf_sock_addr)
COUNT(18, "cgroup/getsockopt", on_getsockopt, bpf_sockopt)
COUNT(19, "cgroup/setsockopt", on_setsockopt, bpf_sockopt)
COUNT(20, "cgroup/sysctl", on_sysctl, bpf_sysctl)
COUNT(21, "cgroup/dev", on_dev, bpf_cgroup_dev_ctx)
COUNT(22, "sockops", on_sockops, bpf_sock_ops)

char LICENSE[] SEC("license") = "Dual BSD/GPL";
