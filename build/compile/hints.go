// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"fmt"
	"path/filepath"
	"strings"
)

// hint says what to do about what the compiler complained of, or "".
func (j *job) hint(d *diagnostics, t target) string {
	header := d.missing
	switch {
	case d.untargeted:
		return "this clang was built without BPF; " + j.packages(needClang)
	case filepath.Base(header) == "vmlinux.h":
		return "make it from the types of a running kernel: bpftool btf dump file /sys/kernel/btf/vmlinux format c > " + quote(filepath.Join(j.folder, "vmlinux.h"))
	case strings.HasPrefix(header, "bpf/"):
		return j.packages(needLibbpf)
	case strings.HasPrefix(header, "asm/") && t.arch.name != hostArch:
		return fmt.Sprintf("<%s> of %s is needed: apt-get install linux-libc-dev-%s-cross on Debian and Ubuntu, or put a vmlinux.h of that architecture beside the source",
			header, t.arch.name, t.arch.debian)
	case strings.HasPrefix(header, "linux/"), strings.HasPrefix(header, "asm/"), strings.HasPrefix(header, "asm-generic/"):
		return j.packages(needHeaders)
	}
	return ""
}
