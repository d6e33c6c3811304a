// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// A program to probe: for each line it reads it calls work_one and work_two, and
// passes static probes. It is compiled by tests, with any C compiler for x86-64:
//
//	cc -O1 -static -o probed probed.c

#include <stdio.h>

/*
 * PROBE(name, semaphore, a, b, c) is a static probe app:name with three
 * arguments: an int in a register, a long in memory and a constant. It is what
 * systemtap's <sys/sdt.h> makes of STAP_PROBE3, in the form its documentation
 * gives (UserSpaceProbeImplementation).
 */
#define PROBE(name, semaphore, a, b, c)                                          \
	__asm__ volatile("990:	nop\n"                                           \
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"            \
			 ".balign 4\n"                                           \
			 ".4byte 992f-991f, 994f-993f, 3\n"                      \
			 "991:	.asciz \"stapsdt\"\n"                            \
			 "992:	.balign 4\n"                                     \
			 "993:	.8byte 990b, _.stapsdt.base, " semaphore "\n"    \
			 ".asciz \"app\"\n"                                      \
			 ".asciz \"" name "\"\n"                                 \
			 ".asciz \"-4@%0 8@%1 -8@%2\"\n"                         \
			 "994:	.balign 4\n"                                     \
			 ".popsection\n"                                         \
			 ".ifndef _.stapsdt.base\n"                              \
			 ".pushsection .stapsdt.base,\"a\",\"progbits\"\n"       \
			 ".weak _.stapsdt.base\n"                                \
			 "_.stapsdt.base: .space 1\n"                            \
			 ".popsection\n"                                         \
			 ".endif\n"                                              \
			 :                                                       \
			 : "r"(a), "m"(b), "i"(c))

/* Not zero while somebody listens to app:reply. */
__attribute__((section(".probes"), used)) volatile unsigned short reply_semaphore;

static inline __attribute__((always_inline)) void twice(int a, volatile long *b)
{
	PROBE("twice", "0", a, *b, 7);
}

__attribute__((noinline)) int work_one(int n)
{
	volatile long big = n * 1000L;

	PROBE("request", "0", -n, big, -3);
	twice(n, &big);
	return n + 1;
}

__attribute__((noinline)) int work_two(int n)
{
	volatile long big = n * 10L;

	if (reply_semaphore)
		PROBE("reply", "reply_semaphore", n, big, 5);
	twice(n, &big);
	return n + 2;
}

int main(void)
{
	int n = 1, c;

	puts("ready");
	fflush(stdout);
	while ((c = getchar()) != EOF) {
		if (c != '\n')
			continue;
		n = work_one(n) - 1;
		n = work_two(n) - 2;
		puts("done");
		fflush(stdout);
	}
	return n != 1;
}
