// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// The first member of a chain: lets every packet go on to the next.

#include "chain.h"

struct {
	__uint(priority, 10);
	__uint(XDP_PASS, 1);
} RUN_CONFIG(guard);

MEMBER(guard, XDP_PASS);
