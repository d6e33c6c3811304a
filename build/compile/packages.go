// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"os"
	"runtime"
	"slices"
	"strings"
)

// need is what a machine can lack.
type need int

const (
	needClang   need = iota // everything
	needLibbpf              // <bpf/bpf_helpers.h>
	needHeaders             // <linux/bpf.h>, <asm/types.h>
)

// families say how a distribution calls the packages. ids are values of ID and
// ID_LIKE (os-release(5)); darwin is GOOS.
var families = []struct {
	name    string
	ids     []string
	install string
	// clang with llvm-strip; libbpf's headers; the kernel's.
	clang, libbpf, headers string
}{
	{"Debian, Ubuntu", []string{"debian", "ubuntu"}, "apt-get install", "clang llvm", "libbpf-dev", "linux-libc-dev"},
	{"Fedora", []string{"fedora", "rhel", "centos"}, "dnf install", "clang llvm", "libbpf-devel", "kernel-headers"},
	{"Alpine", []string{"alpine"}, "apk add", "clang llvm", "libbpf-dev", "linux-headers"},
	{"Arch", []string{"arch"}, "pacman -S", "clang llvm", "libbpf", "linux-api-headers"},
	{"openSUSE", []string{"suse", "opensuse"}, "zypper install", "clang llvm", "libbpf-devel", "linux-glibc-devel"},
	// Homebrew has neither libbpf nor the kernel's headers, and keeps its clang
	// out of PATH.
	{"macOS", []string{"darwin"}, "brew install", "llvm", "", ""},
}

// packages says what to type to get what is needed, on this machine if it is
// known, else on all.
func (j *job) packages(n need) string {
	return "install it: " + packagesFor(n, distribution())
}

func packagesFor(n need, ids []string) string {
	var all []string
	for _, f := range families {
		names := map[need]string{needClang: f.clang + " " + f.libbpf + " " + f.headers, needLibbpf: f.libbpf, needHeaders: f.headers}[n]
		names = strings.TrimSpace(names)
		if names == "" {
			continue
		}
		line := f.install + " " + names
		if f.ids[0] == "darwin" {
			line += ` (then --clang "$(brew --prefix llvm)/bin/clang")`
		}
		if slices.ContainsFunc(f.ids, func(id string) bool { return slices.Contains(ids, id) }) {
			return line
		}
		all = append(all, f.name+": "+line)
	}
	return strings.Join(all, "; ")
}

// distribution is what this system is and what it is like.
func distribution() []string {
	if runtime.GOOS != "linux" {
		return []string{runtime.GOOS}
	}
	for _, path := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if data, err := os.ReadFile(path); err == nil {
			return parseOSRelease(string(data))
		}
	}
	return nil
}

// parseOSRelease reads ID and ID_LIKE of an os-release file: the first says more.
func parseOSRelease(text string) []string {
	values := map[string][]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = strings.Fields(strings.Trim(value, `"'`))
	}
	return append(values["ID"], values["ID_LIKE"]...)
}
