// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// The last member of a chain: no packet gets past it.

#include "chain.h"

struct {
	__uint(priority, 90);
	__uint(XDP_PASS, 1);
} RUN_CONFIG(wall);

MEMBER(wall, XDP_DROP);
