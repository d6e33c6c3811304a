// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Programs on a map of sockets: each counts. The verdicts send what a socket of
// the map receives back through it, an echo.

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum { PARSED, VERDICTS, SENT, EVENTS };

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EVENTS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(__u32 event)
{
	__u64 *n = bpf_map_lookup_elem(&counts, &event);

	if (n)
		__sync_fetch_and_add(n, 1);
}

SEC("sk_skb/stream_parser")
int parse(struct __sk_buff *skb)
{
	count(PARSED);
	return skb->len;
}

SEC("sk_skb/stream_verdict")
int echo(struct __sk_buff *skb)
{
	count(VERDICTS);
	return bpf_sk_redirect_map(skb, &socks, 0, 0);
}

/* Of type sk_skb by its section, which leaves the event to the option. */
SEC("sk_skb")
int echo_all(struct __sk_buff *skb)
{
	count(VERDICTS);
	return bpf_sk_redirect_map(skb, &socks, 0, 0);
}

SEC("sk_msg")
int on_send(struct sk_msg_md *msg)
{
	count(SENT);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
