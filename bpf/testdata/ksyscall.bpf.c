// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Counts calls of and returns from the system call unlinkat that are about the
// working folder, with libbpf's BPF_KSYSCALL: it asks the kernel how arguments
// are passed. Reading them is a matter of the architecture, so this object is
// for x86-64 alone.

#define __TARGET_ARCH_x86

#include <linux/bpf.h>
#include <linux/fcntl.h>

/* The kernel's own names of registers, which relocations find in its BTF. */
#define __VMLINUX_H__
struct pt_regs {
	unsigned long di, si, dx, r10, r8, r9, bp, ax, sp, ip;
} __attribute__((preserve_access_index));

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* One counter for each program below, in their order. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} hits SEC(".maps");

static __always_inline int hit(__u32 program)
{
	__u64 *n = bpf_map_lookup_elem(&hits, &program);

	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

SEC("ksyscall/unlinkat")
int BPF_KSYSCALL(count_unlinkat, int folder)
{
	return folder == AT_FDCWD ? hit(0) : 0;
}

SEC("kretsyscall/unlinkat")
int BPF_KRETPROBE(count_return, int result)
{
	return result == 0 ? hit(1) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
