// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// hostArch is the architecture whose headers a machine has.
const hostArch = runtime.GOARCH

// standIns replace the <asm/…> headers of an architecture whose own are not
// installed. The machine's own would compile too, and be wrong: x86's
// <asm/byteorder.h> turns the bit fields of struct iphdr around on s390x. They
// are what most architectures have (kernel, arch/*/include/{asm,uapi/asm}),
// with long at the 64 bits it has in BPF. There is no <asm/ptrace.h>: registers
// differ, and a program that reads them needs the real one.
var standIns = map[string]string{
	"types.h":       "#include <asm-generic/types.h>\n",
	"posix_types.h": "#include <asm-generic/posix_types.h>\n",
	"swab.h":        "#include <asm-generic/swab.h>\n",
	"errno.h":       "#include <asm-generic/errno.h>\n",
	"socket.h":      "#include <asm-generic/socket.h>\n",
	"sockios.h":     "#include <asm-generic/sockios.h>\n",
	"ioctl.h":       "#include <asm-generic/ioctl.h>\n",
	"bitsperlong.h": "#define __BITS_PER_LONG 64\n#include <asm-generic/bitsperlong.h>\n",
	"byteorder.h": "#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__\n#include <linux/byteorder/big_endian.h>\n" +
		"#else\n#include <linux/byteorder/little_endian.h>\n#endif\n",
}

// headers are the arguments that let clang find <asm/…> for an architecture:
// it looks in a folder named for its target, and BPF has none.
func (j *job) headers(a arch) ([]string, error) {
	for _, dir := range []string{"/usr/include/" + a.triplet, "/usr/" + a.triplet + "/include"} { // multiarch, cross packages
		if exists(dir + "/asm/types.h") {
			return []string{"-isystem", dir}, nil
		}
	}
	if a.name == hostArch && exists("/usr/include/asm/types.h") {
		return nil, nil
	}
	dir := filepath.Join(j.scratch, "include")
	if err := writeStandIns(filepath.Join(dir, "asm")); err != nil {
		return nil, err
	}
	return []string{"-isystem", dir}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func writeStandIns(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("writing stand-in headers: %w", err)
	}
	for name, text := range standIns {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing stand-in headers: %w", err)
		}
	}
	return nil
}
