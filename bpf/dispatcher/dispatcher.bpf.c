// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

//go:build ignore

// The program in an interface's XDP slot that runs up to ten others, as the
// protocol of libxdp, version 2, wants it: the names of functions and of the
// metadata, the layout of the configuration and the stubs' result are the
// protocol's.

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 10

// What a stub that nothing replaces returns. Its bit is in every proceed_on, so
// the chain goes on where a component is gone.
#define UNTOUCHED 31

// Filled in before loading. The map is frozen then, so the verifier knows the
// values and drops the calls behind the last component; volatile keeps the
// compiler from knowing the zeros here.
static const volatile struct {
	__u8 magic;
	__u8 version;
	__u8 enabled;
	__u8 frags;
	__u32 proceed_on[SLOTS];
	__u32 priorities[SLOTS];
	__u32 flags[SLOTS];
} config;

// A stub is global, so that it can be replaced, and the compiler may assume
// nothing about it: it cannot see through the empty assembly what is returned,
// nor that ctx does not matter. The helper is never called, and the verifier takes
// the call out; but it says that the function may change where the packet begins,
// without which no program may replace it that does, or that makes a tail call
// (Linux 6.13, commit 81f6d0530ba0, and stable kernels since).
#define STUB(n)                                                  \
	__attribute__((noinline)) int prog##n(struct xdp_md *ctx) \
	{                                                         \
		int result = UNTOUCHED;                           \
		asm volatile("" : "+r"(result) : "r"(ctx));       \
		if (result != UNTOUCHED)                          \
			return bpf_xdp_adjust_meta(ctx, 0);       \
		return result;                                    \
	}

// Lower 5 bits: what a component returns is no more than a number to us, and
// shifting by more bits than there are is undefined.
#define RUN(n)                                                   \
	do {                                                      \
		if (config.enabled <= n)                          \
			return XDP_PASS;                          \
		int result = prog##n(ctx);                        \
		if (!(config.proceed_on[n] >> (result & 31) & 1)) \
			return result;                            \
	} while (0)

STUB(0)
STUB(1)
STUB(2)
STUB(3)
STUB(4)
STUB(5)
STUB(6)
STUB(7)
STUB(8)
STUB(9)

SEC("xdp")
int xdp_dispatcher(struct xdp_md *ctx)
{
	RUN(0);
	RUN(1);
	RUN(2);
	RUN(3);
	RUN(4);
	RUN(5);
	RUN(6);
	RUN(7);
	RUN(8);
	RUN(9);
	return XDP_PASS;
}

// Shows whether a kernel lets a stub be replaced; never runs.
SEC("freplace/prog0")
int probe(struct xdp_md *ctx)
{
	return XDP_PASS;
}

// Only the type counts, in BTF: a pointer to an array of as many elements as the
// version has.
__uint(dispatcher_version, 2) SEC("xdp_metadata");

char LICENSE[] SEC("license") = "Dual BSD/GPL";
