// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"strings"
	"testing"
)

func TestInstanceName(t *testing.T) {
	for _, tc := range []struct{ asked, repository, want string }{
		{"", "net/xdp-counter", "xdp-counter"},
		{"", "counter", "counter"},
		{"", "net/filter.v2", "filter-v2"},
		{"mine_1", "net/x", "mine_1"},
		{strings.Repeat("a", 63), "x", strings.Repeat("a", 63)},
	} {
		got, err := InstanceName(tc.asked, tc.repository)
		if err != nil || got != tc.want {
			t.Errorf("InstanceName(%q, %q) = %q, %v; want %q", tc.asked, tc.repository, got, err, tc.want)
		}
	}
	for _, bad := range []string{".", "..", "a/b", "../x", "-a", "_a", "A", "a b", "a\n", "a.b", strings.Repeat("a", 64)} {
		if got, err := InstanceName(bad, "x"); !errors.Is(err, ErrUsage) {
			t.Errorf("InstanceName(%q) = %q, %v; want ErrUsage", bad, got, err)
		}
	}
}
