// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/bpf/kconfig"
)

// fillKconfig gives the `extern … __kconfig` variables of all objects the values
// of this kernel.
func (p *plan) fillKconfig() error {
	for _, o := range p.objects {
		spec := o.spec.Maps[inspect.KconfigMap]
		if spec == nil {
			continue
		}
		section, ok := spec.Value.(*btf.Datasec)
		if !ok {
			return fmt.Errorf("object %q: %s has no variables", o.file, inspect.KconfigMap)
		}
		data, err := kconfig.Resolve(section, o.weak, thisKernel())
		if missing := (*kconfig.MissingError)(nil); errors.As(err, &missing) {
			return fmt.Errorf("object %q: %w", o.file, unsupported(missing.Option, ""))
		}
		if err != nil {
			return fmt.Errorf("object %q: %w", o.file, err)
		}
		spec.Contents = []ebpf.MapKV{{Key: uint32(0), Value: data}}
	}
	return nil
}

// thisKernel is asked through its files and the loader's probes.
func thisKernel() kconfig.Kernel {
	return kconfig.Kernel{
		Config:         openConfig,
		Version:        features.LinuxVersionCode,
		SyscallWrapper: haveSyscallWrapper,
		Cookie: func() (bool, error) {
			err := features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie)
			if errors.Is(err, ebpf.ErrNotSupported) {
				return false, nil
			}
			return err == nil, err
		},
	}
}

// openConfig opens the configuration where distributions and the kernel itself
// (CONFIG_IKCONFIG_PROC) put it.
func openConfig() (io.ReadCloser, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("asking for the kernel's release: %w", err)
	}
	installed := "/boot/config-" + strings.ReplaceAll(unix.ByteSliceToString(uts.Release[:]), "/", "")
	var errs []error
	for _, path := range []string{"/proc/config.gz", installed} {
		f, err := os.Open(path)
		if err == nil {
			return f, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("the programs ask for options of the kernel, whose configuration cannot be read: %w; install the file that belongs to this kernel", joined.Errors(errs...))
}

// haveSyscallWrapper: arch/*/Kconfig select ARCH_HAS_SYSCALL_WRAPPER on these
// architectures since Linux 4.17, 4.19 (arm64) and 6.6 (riscv).
func haveSyscallWrapper() (bool, error) {
	switch runtime.GOARCH {
	case "amd64", "386", "s390x", "arm64":
		return true, nil
	case "riscv64":
		version, err := features.LinuxVersionCode()
		return version >= 6<<16|6<<8, err
	}
	return false, nil
}
