// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"testing"

	"github.com/bpfimg/bpfimg/pull"
)

// TestBTFForOneKernel: nothing but the exact release and architecture will do.
func TestBTFForOneKernel(t *testing.T) {
	t.Parallel()
	v := &Verified{img: &pull.Image{BTF: []pull.BTF{
		{Arch: "arm64", Kernels: []string{"5.5"}, Bytes: []byte("arm")},
		{Arch: "amd64", Kernels: []string{"5.3", "5.4"}, Bytes: []byte("amd")},
	}}}
	for _, tc := range []struct{ release, arch, want string }{
		{"5.4", "amd64", "amd"},
		{"5.5", "arm64", "arm"},
		{"5.5", "amd64", ""},
		{"5.4.0", "amd64", ""},
		{"5", "amd64", ""},
		{"", "", ""},
	} {
		if got, kernels := v.BTF(tc.release, tc.arch); string(got) != tc.want || kernels != 3 {
			t.Errorf("%s on %s: %q of %d kernels, want %q", tc.release, tc.arch, got, kernels, tc.want)
		}
	}
}
