// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package probes finds the places that probes go to: functions whose name
// matches a pattern, and the static probes (USDT) compiled into programs and
// libraries, with where their arguments are. It reads files that others made,
// under limits, and asks neither the kernel nor the machine it runs on anything.
package probes
