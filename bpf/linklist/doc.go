// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package linklist lists the bpf_links of the system, while others make and close some.
//
// Door: [Walk], on Linux.
package linklist
