// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
// Copyright The bpfimg Authors

// A member of a chain that drops every packet and says nothing of its place.

#include "chain.h"

MEMBER(drop, XDP_DROP);
