// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package verify decides whether an image may be loaded. It reads what package
// pull fetched, never the network and never the kernel, and returns a
// [Verified], which only it can make: loading unverified bytes does not compile.
//
// Doors: [Check] with [LoadKeys] or [LoadPolicy], [NewReport] for what it found,
// [Skip] for the one loud way around.
package verify
