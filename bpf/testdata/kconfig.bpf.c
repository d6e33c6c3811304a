// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// Writes down what the kernel's configuration says.

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

extern unsigned int LINUX_KERNEL_VERSION __kconfig;
extern const bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern const bool LINUX_HAS_BPF_COOKIE __kconfig __weak;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern int CONFIG_HZ __kconfig;
extern bool CONFIG_NOBODY_HAS_THIS __kconfig __weak;
extern char CONFIG_DEFAULT_HOSTNAME[8] __kconfig __weak;

struct seen {
	__u32 version, wrapper, cookie, syscall, net, hz, nobody;
	char hostname[8];
} seen;

SEC("xdp")
int look(struct xdp_md *ctx)
{
	seen.version = LINUX_KERNEL_VERSION;
	seen.wrapper = LINUX_HAS_SYSCALL_WRAPPER;
	seen.cookie = LINUX_HAS_BPF_COOKIE;
	seen.syscall = CONFIG_BPF_SYSCALL;
	seen.net = CONFIG_NET;
	seen.hz = CONFIG_HZ;
	seen.nobody = CONFIG_NOBODY_HAS_THIS;
	for (int i = 0; i < 8; i++)
		seen.hostname[i] = CONFIG_DEFAULT_HOSTNAME[i];
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
