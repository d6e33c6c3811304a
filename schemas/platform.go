// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import (
	"fmt"
	"strings"
)

// Platform is what an image is for, in its usual spelling: two that mean the
// same compare equal with ==. OS and Arch are GOOS and GOARCH values.
type Platform struct {
	OS, Arch, Variant string
}

// usualVariant is what an architecture alone means; usualArch are other names
// people give one (containerd's platforms package, database.go).
var (
	usualVariant = map[string]string{"amd64": "v1", "arm64": "v8", "arm": "v7"}
	usualArch    = map[string]string{"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
)

// NewPlatform brings the three parts, as an index or a person spells them, into
// the usual spelling; variant may be empty.
func NewPlatform(os, arch, variant string) Platform {
	p := Platform{OS: strings.ToLower(os), Arch: strings.ToLower(arch), Variant: strings.ToLower(variant)}
	if usual, ok := usualArch[p.Arch]; ok {
		p.Arch = usual
	}
	if p.Variant != "" && p.Variant[0] >= '0' && p.Variant[0] <= '9' {
		p.Variant = "v" + p.Variant
	}
	if p.Variant == "" {
		p.Variant = usualVariant[p.Arch]
	}
	return p
}

// ParsePlatform reads "os/arch[/variant]".
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) == 2 {
		parts = append(parts, "")
	}
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return Platform{}, fmt.Errorf("platform %q: want os/arch[/variant], such as linux/arm64", s)
	}
	return NewPlatform(parts[0], parts[1], parts[2]), nil
}

// String is "os/arch[/variant]", without a variant that goes without saying.
func (p Platform) String() string {
	s := p.OS + "/" + p.Arch
	if p.Variant != "" && p.Variant != usualVariant[p.Arch] {
		s += "/" + p.Variant
	}
	return s
}
