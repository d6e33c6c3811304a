// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// bigEndian lists the big-endian architectures Linux runs BPF on, in GOARCH
// spelling (go/build, syslist.go). One that is missing here is not checked.
var bigEndian = map[string]bool{
	"s390x": true, "ppc64": true, "ppc": true, "mips": true, "mips64": true, "sparc64": true, "armbe": true, "arm64be": true,
}

// littleEndian lists the others in use.
var littleEndian = map[string]bool{
	"amd64": true, "386": true, "arm64": true, "arm": true, "riscv64": true, "ppc64le": true, "mipsle": true, "mips64le": true, "loong64": true,
}

var platformPart = lazyregexp.New(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// choosePlatform parses asked, or takes the default of [Options].
func choosePlatform(asked string, objects []schemas.Object) (ocispec.Platform, error) {
	var p ocispec.Platform
	var err error
	if asked == "" {
		p, err = defaultPlatform(objects)
	} else {
		p, err = parsePlatform(asked)
	}
	if err != nil {
		return p, err
	}
	big := objects[0].Endianness == "big"
	if big && littleEndian[p.Architecture] || !big && bigEndian[p.Architecture] {
		return p, fmt.Errorf("%w: %q is %s-endian and cannot run on %s/%s; name another platform", ErrOptions,
			objects[0].File, objects[0].Endianness, p.OS, p.Architecture)
	}
	return p, nil
}

func parsePlatform(s string) (ocispec.Platform, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 {
		return ocispec.Platform{}, fmt.Errorf("%w: platform %q: want os/arch[/variant], such as linux/arm64", ErrOptions, s)
	}
	for _, part := range parts {
		if !platformPart().MatchString(part) {
			return ocispec.Platform{}, fmt.Errorf("%w: platform %q: %q is no os, architecture or variant", ErrOptions, s, part)
		}
	}
	// Other names of an architecture ("x86_64") get the usual one, which is what
	// readers that compare letter by letter look for.
	usual := schemas.NewPlatform(parts[0], parts[1], strings.Join(parts[2:], ""))
	p := ocispec.Platform{OS: usual.OS, Architecture: usual.Arch}
	if len(parts) == 3 {
		p.Variant = usual.Variant
	}
	return p, nil
}

func defaultPlatform(objects []schemas.Object) (ocispec.Platform, error) {
	p := ocispec.Platform{OS: "linux"}
	var from string
	for _, obj := range objects {
		switch {
		case obj.Arch == "" || obj.Arch == p.Architecture:
		case p.Architecture == "":
			p.Architecture, from = obj.Arch, obj.File
		default:
			return p, fmt.Errorf("%w: %q was compiled for %s and %q for %s; build one image for each, or say --platform", ErrInput,
				from, p.Architecture, obj.File, obj.Arch)
		}
	}
	if p.Architecture == "" {
		p.Architecture = "amd64"
		if objects[0].Endianness == "big" {
			p.Architecture = "s390x"
		}
	}
	return p, nil
}
