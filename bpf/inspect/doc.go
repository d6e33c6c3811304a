// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package inspect reads compiled BPF objects: ELF in, [schemas.Object] out. It
// works on any operating system, needs no privileges and asks the kernel
// nothing. The bytes may come from anyone.
//
// Doors: [Object], [HookOf].
package inspect
