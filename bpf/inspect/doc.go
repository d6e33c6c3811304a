// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package inspect reads compiled BPF objects: ELF in, [schemas.Object] out. It
// works on any operating system, needs no privileges, writes nothing and asks
// the kernel nothing. The bytes may come from anyone: they are checked against
// the limits in limits.go before a parser that does not know any sees them.
//
// Doors: [Object] describes, [Load] gives the same bytes to whoever loads them,
// [Hooks] and [HookOf] say where a program can go.
package inspect
