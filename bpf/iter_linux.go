// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// iterOrder is a value of option order in the kernel's numbers (enum
// bpf_cgroup_iter_order of linux/bpf.h).
func iterOrder(name string) uint32 {
	return map[string]uint32{"self": 1, "descendants-pre": 2, "descendants-post": 3, "ancestors": 4}[name]
}

// iterOptionKinds says which kinds of iterators take an option.
func iterOptionKinds() map[string][]string {
	return map[string][]string{
		optionMap:    {"bpf_map_elem", "bpf_sk_storage_map", "sockmap"},
		optionPID:    {"task", "task_file", "task_vma"},
		optionTID:    {"task", "task_file", "task_vma"},
		optionCgroup: {"cgroup"},
		optionOrder:  {"cgroup"},
	}
}

// checkIterOptions refuses options that the kind does not take, and asks for those
// it needs.
func checkIterOptions(h *host, p *placement) error {
	allowed := iterOptionKinds()
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if p.option(name) != "" && !slices.Contains(allowed[name], p.link.Target) {
			return p.usage("option %s is for iterators over %s", name, strings.Join(allowed[name], ", "))
		}
	}
	switch {
	case slices.Contains(allowed[optionMap], p.link.Target):
		return checkIterMap(h, p)
	case slices.Contains(allowed[optionPID], p.link.Target):
		return checkIterTask(p)
	case p.link.Target == "cgroup":
		return checkIterCgroup(p)
	}
	return nil
}

func checkIterMap(h *host, p *placement) error {
	name := p.option(optionMap)
	if name == "" {
		return p.usage("needs the map to iterate over, one of the same image: option map")
	}
	if h.plan.mapSpec(name) == nil {
		return p.usage("the image has no map %q; it has %s", name, quoted(h.plan.mapNames()))
	}
	return nil
}

// checkIterTask looks the process or thread up. Kernels that cannot choose one
// would not say so, and iterate over all.
func checkIterTask(p *placement) error {
	name, value := optionPID, p.option(optionPID)
	if tid := p.option(optionTID); tid != "" {
		if value != "" {
			return p.usage("pid and tid exclude each other")
		}
		name, value = optionTID, tid
	}
	if value == "" {
		return nil
	}
	if n, err := strconv.ParseUint(value, 10, 31); err != nil || n == 0 {
		return p.usage("option %s is %q; it is the number of a process or thread", name, value)
	}
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("%s: reading the kernel's types: %w", p, err)
	}
	var info *btf.Union
	if err := spec.TypeByName("bpf_iter_link_info", &info); err != nil ||
		!slices.ContainsFunc(info.Members, func(m btf.Member) bool { return m.Name == "task" }) {
		return fmt.Errorf("%s: %w", p, unsupported("iterating over one process", "6.1"))
	}
	if _, err := os.Stat("/proc/" + value); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: there is no process or thread %s", p, ErrNoTarget, value)
	}
	return nil
}

// taskNumber is a pid or tid that checkIterTask has seen, 0 when it is not given.
func taskNumber(p *placement, option string) uint32 {
	n, _ := strconv.ParseUint(p.option(option), 10, 31)
	return uint32(n)
}

func checkIterCgroup(p *placement) error {
	if p.option(optionOrder) == "" {
		p.choose(optionOrder, "descendants-pre")
	}
	dir, err := openIterCgroup(p)
	if err != nil || dir < 0 {
		return err
	}
	return unix.Close(dir)
}

// openIterCgroup opens the folder of option cgroup, -1 when that is not given and
// the root is meant.
func openIterCgroup(p *placement) (int, error) {
	path := p.option(optionCgroup)
	if path == "" {
		return -1, nil
	}
	if !filepath.IsAbs(path) {
		return -1, p.usage("option cgroup is %q; it is the absolute path of a cgroup", path)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return -1, fmt.Errorf("%s: %w: there is no cgroup %q", p, ErrNoTarget, path)
	}
	if err != nil {
		return -1, fmt.Errorf("%s: opening cgroup %q: %w", p, path, err)
	}
	return fd, nil
}
