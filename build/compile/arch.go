// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/build"
)

// arch is what compiling for one architecture needs to know.
type arch struct {
	// name as GOARCH.
	name string
	// endian is clang's name of the BPF target with the same byte order.
	endian string
	// define is what __TARGET_ARCH_ ends in, by which libbpf's bpf_tracing.h
	// chooses registers (libbpf, src/bpf_tracing.h).
	define string
	// triplet names folders of headers on Debian and its kin (wiki.debian.org,
	// Multiarch/Tuples).
	triplet string
	// debian is the architecture in Debian's package names.
	debian string
}

// archs are the architectures whose registers libbpf knows.
var archs = []arch{
	{"amd64", "bpfel", "x86", "x86_64-linux-gnu", "amd64"},
	{"arm64", "bpfel", "arm64", "aarch64-linux-gnu", "arm64"},
	{"386", "bpfel", "x86", "i386-linux-gnu", "i386"},
	{"arm", "bpfel", "arm", "arm-linux-gnueabihf", "armhf"},
	{"loong64", "bpfel", "loongarch", "loongarch64-linux-gnu", "loong64"},
	{"mips64", "bpfeb", "mips", "mips64-linux-gnuabi64", "mips64"},
	{"mips64le", "bpfel", "mips", "mips64el-linux-gnuabi64", "mips64el"},
	{"ppc64", "bpfeb", "powerpc", "powerpc64-linux-gnu", "ppc64"},
	{"ppc64le", "bpfel", "powerpc", "powerpc64le-linux-gnu", "ppc64el"},
	{"riscv64", "bpfel", "riscv", "riscv64-linux-gnu", "riscv64"},
	{"s390x", "bpfeb", "s390", "s390x-linux-gnu", "s390x"},
}

// target is a platform to compile for.
type target struct {
	platform string // as it was asked for
	arch     arch
}

// maxTargets bounds the platforms of one call; there are eleven architectures.
const maxTargets = 64

func parseTargets(platforms []string) ([]target, error) {
	if len(platforms) > maxTargets {
		return nil, fmt.Errorf("%w: %d platforms given, at most %d are compiled for at once", build.ErrOptions, len(platforms), maxTargets)
	}
	var targets []target
	for i, p := range platforms {
		if slices.Contains(platforms[:i], p) {
			return nil, fmt.Errorf("%w: platform %q is given twice", build.ErrOptions, p)
		}
		t, err := parseTarget(p)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func parseTarget(platform string) (target, error) {
	parts := strings.Split(platform, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] != "linux" {
		return target{}, fmt.Errorf("%w: platform %q: sources are compiled for linux/ARCH[/VARIANT], such as linux/arm64", build.ErrOptions, platform)
	}
	var names []string
	for _, a := range archs {
		if a.name == parts[1] {
			return target{platform, a}, nil
		}
		names = append(names, a.name)
	}
	return target{}, fmt.Errorf("%w: platform %q: sources are compiled for %s; for others, compile yourself and name the objects", build.ErrOptions,
		platform, strings.Join(names, ", "))
}
