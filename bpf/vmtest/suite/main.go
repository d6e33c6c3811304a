// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command suite puts every hook to work with the real bpfimg and says of each
// what came of it.
package main

func main() {}
