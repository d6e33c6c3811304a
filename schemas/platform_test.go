// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import "testing"

func TestParsePlatform(t *testing.T) {
	for given, want := range map[string]string{
		"linux/amd64": "linux/amd64", "Linux/X86_64": "linux/amd64", "linux/amd64/v1": "linux/amd64", "linux/amd64/3": "linux/amd64/v3",
		"linux/aarch64/v8": "linux/arm64", "linux/arm": "linux/arm", "linux/arm/7": "linux/arm", "linux/arm/v6": "linux/arm/v6",
		"linux/s390x/": "linux/s390x", "linux": "", "linux/": "", "/amd64": "", "linux/arm/v7/x": "", "": "",
	} {
		p, err := ParsePlatform(given)
		if (err != nil) != (want == "") || err == nil && p.String() != want {
			t.Errorf("%q is %q, want %q; error %v", given, p, want, err)
		}
	}
}

// FuzzParsePlatform: the text form means the same platform.
func FuzzParsePlatform(f *testing.F) {
	for _, s := range []string{"linux/amd64", "linux/arm/7", "LINUX/x86-64/v1", "//"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePlatform(s)
		if err != nil {
			return
		}
		if again, err := ParsePlatform(p.String()); err != nil || again != p {
			t.Errorf("%q is %q, which is %q, %v", s, p, again, err)
		}
	})
}
