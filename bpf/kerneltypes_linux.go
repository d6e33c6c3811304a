// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// moduleTypes is where the kernel shows its own types and those of its modules.
const moduleTypes = "/sys/kernel/btf"

// haveKernelType says whether the kernel, or a loaded module, has a type of that
// name that is one.
func haveKernelType(name string, is func(btf.Type) bool) (bool, error) {
	cache := btf.NewCache()
	spec, err := cache.Kernel()
	if err != nil {
		return false, fmt.Errorf("reading the kernel's types: %w", err)
	}
	if found, err := haveType(spec, name, is); found || err != nil {
		return found, err
	}
	entries, err := os.ReadDir(moduleTypes)
	if err != nil {
		return false, fmt.Errorf("listing the types of modules: %w", err)
	}
	for _, e := range entries {
		if e.Name() == "vmlinux" {
			continue
		}
		spec, err := cache.Module(e.Name())
		if err != nil {
			return false, fmt.Errorf("reading the types of module %s: %w", e.Name(), err)
		}
		if found, err := haveType(spec, name, is); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

func haveType(spec *btf.Spec, name string, is func(btf.Type) bool) (bool, error) {
	types, err := spec.AnyTypesByName(name)
	if errors.Is(err, btf.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking up type %s of the kernel: %w", name, err)
	}
	return slices.ContainsFunc(types, is), nil
}

// iterPrefix is that of the functions by whose types the kernel knows its kinds of
// iterators (DEFINE_BPF_ITER_FUNC of linux/bpf.h).
const iterPrefix = "bpf_iter_"

// findIterator refuses a kind this kernel does not have.
func findIterator(p *placement) error {
	found, err := haveKernelType(iterPrefix+p.link.Target, isIterator)
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	if found {
		return nil
	}
	kinds, err := iterKinds()
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return fmt.Errorf("%s: %w: this kernel (%s) cannot iterate over %q; it can over %s",
		p, ErrNoTarget, kernelRelease(), p.link.Target, strings.Join(kinds, ", "))
}

// iterKinds are those of the kernel proper, sorted.
func iterKinds() ([]string, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's types: %w", err)
	}
	var kinds []string
	for t, err := range spec.All() {
		if err != nil {
			return nil, fmt.Errorf("reading the kernel's types: %w", err)
		}
		if kind, ok := strings.CutPrefix(t.TypeName(), iterPrefix); ok && isIterator(t) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}

// isIterator says whether t is what DEFINE_BPF_ITER_FUNC makes, a function whose
// first parameter points to a struct bpf_iter_meta. bpf_iter_num_new and its like
// are not; they are for loops inside programs.
func isIterator(t btf.Type) bool {
	f, ok := t.(*btf.Func)
	if !ok {
		return false
	}
	proto, ok := btf.As[*btf.FuncProto](f.Type)
	if !ok || len(proto.Params) == 0 {
		return false
	}
	pointer, ok := btf.As[*btf.Pointer](proto.Params[0].Type)
	if !ok {
		return false
	}
	meta, ok := btf.As[*btf.Struct](pointer.Target)
	return ok && meta.Name == "bpf_iter_meta"
}
