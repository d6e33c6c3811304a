// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package loopback_test

import (
	"testing"

	"github.com/bpfimg/bpfimg/internal/loopback"
)

func TestIs(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost":             true,
		"LocalHost":             true,
		"127.0.0.1":             true,
		"127.255.255.254":       true,
		"::1":                   true,
		"0:0:0:0:0:0:0:1":       true,
		"::ffff:127.0.0.1":      true,
		"::1%lo":                true,
		"":                      false,
		"localhost.":            false,
		"x.localhost":           false,
		"localhost.example":     false,
		"127.0.0.1.example":     false,
		"127.1":                 false,
		"127.0.0.01":            false,
		"2130706433":            false,
		"0x7f000001":            false,
		"127.0.0.1:80":          false,
		"[::1]":                 false,
		"128.0.0.1":             false,
		"126.255.255.255":       false,
		"0.0.0.0":               false,
		"::":                    false,
		"::2":                   false,
		"::ffff:10.0.0.1":       false,
		"::127.0.0.1":           false,
		"169.254.0.1":           false,
		"localhost\x00.example": false,
	} {
		if got := loopback.Is(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}
