// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/verify"
)

// takeTypes decides by which types of the kernel the objects are relocated:
// those a person gives, else the kernel's own, else what the image brings for
// this kernel. Nil, which p.types is then, leaves it to the loader.
func (m *Manager) takeTypes(p *plan, given []byte, v *verify.Verified) error {
	if !slices.ContainsFunc(p.objects, func(o *object) bool { return o.desc.CORE }) {
		return nil
	}
	if given != nil {
		types, err := readTypes(given)
		if err != nil {
			return fmt.Errorf("%w: the given BTF: %w", ErrSetting, err)
		}
		p.types = types
		return nil
	}
	if !m.withoutKernelBTF {
		missing, err := kernelBTFMissing()
		if err != nil || !missing {
			return err
		}
	}
	// Nothing but the exact release will do: a program that reads the wrong places
	// runs and lies.
	data, kernels := v.BTF(kernelRelease(), runtime.GOARCH)
	if data == nil {
		return noTypes(kernels)
	}
	var err error
	if p.types, err = readTypes(data); err != nil {
		return fmt.Errorf("the BTF that the image brings for kernel %s: %w", kernelRelease(), err)
	}
	m.log.Info("this kernel has no BTF: what the image brings for it is used", "kernel", kernelRelease())
	return nil
}

// kernelBTFMissing says whether neither the kernel nor its files have BTF. The
// loader looks there, too.
func kernelBTFMissing() (bool, error) {
	if _, err := os.Stat(kernelTypes); err == nil {
		return false, nil
	}
	_, err := btf.LoadKernelSpec()
	switch {
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, btf.ErrNotFound):
		// The latter is a kernel's file without them.
		return true, nil
	case err != nil:
		return false, fmt.Errorf("reading the kernel's types: %w", err)
	}
	return false, nil
}

// noTypes says that there are none for this kernel; those of others are what the
// image brings.
func noTypes(others int) error {
	const remedy = "build the image with --btf-archive and the BTF of this kernel, or give it with --btf FILE"
	lacking := unsupported("its types (CONFIG_DEBUG_INFO_BTF), by which the programs find the kernel's fields", "")
	if others == 0 {
		return fmt.Errorf("%w, and the image brings none: %s", lacking, remedy)
	}
	return fmt.Errorf("%w, and the image brings those of %d kernels, but not of this one (%s): %s", lacking, others, runtime.GOARCH, remedy)
}

// readTypes reads BTF, or an ELF file with it.
func readTypes(data []byte) (types *btf.Spec, err error) {
	defer recoverTypes(&err)
	if types, err = btf.LoadSpecFromReader(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	return types, nil
}

// recoverTypes turns a panic into an error. Types are read as they are needed,
// from bytes of a verified image or of a person; neither is a reason for a
// parser to end a process that runs for long.
func recoverTypes(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("the parser of BTF gave up: %v", r)
	}
}
