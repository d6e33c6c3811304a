// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build !linux

package main

import (
	"net"
	"testing"
)

// freeAddress is a loopback address nobody listened on a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
