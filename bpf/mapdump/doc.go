// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package mapdump reads the content of a BPF map. Package btfvalue says how keys and
// values are written.
//
// Doors: [Read] for a map, [Types] for the C types it has.
package mapdump
