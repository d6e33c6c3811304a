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

	"github.com/bpfimg/bpfimg/pull"
)

// takeTypes decides by which types of the kernel the objects are relocated:
// those a person gives, else the kernel's own, else what the image brings for
// this kernel. Nil, which p.types is then, leaves it to the loader.
func (m *Manager) takeTypes(p *plan, given []byte, brought []pull.BTF) error {
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
	layer, err := layerFor(kernelRelease(), runtime.GOARCH, brought)
	if err != nil {
		return err
	}
	if p.types, err = readTypes(layer.Bytes); err != nil {
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

// layerFor finds the types of one kernel. Nothing but its exact release will do:
// a program that reads the wrong offsets runs and lies.
func layerFor(release, arch string, brought []pull.BTF) (pull.BTF, error) {
	kernels := 0
	for _, b := range brought {
		if b.Arch == arch && slices.Contains(b.Kernels, release) {
			return b, nil
		}
		kernels += len(b.Kernels)
	}
	const remedy = "build the image with --btf-archive and the BTF of this kernel, or give it with --btf FILE"
	lacking := unsupported("its types (CONFIG_DEBUG_INFO_BTF), by which the programs find the kernel's fields", "")
	if kernels == 0 {
		return pull.BTF{}, fmt.Errorf("%w, and the image brings none: %s", lacking, remedy)
	}
	return pull.BTF{}, fmt.Errorf("%w, and the image brings those of %d kernels, but not of this one (%s): %s", lacking, kernels, arch, remedy)
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
