// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bytes"
	_ "embed" // the dispatcher
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// object is dispatcher.bpf.c, compiled; `make generate` writes it.
//
//go:embed dispatcher.bpf.o
var object []byte

// What object holds.
const (
	configMap       = ".rodata"
	metadataSection = "xdp_metadata"
	versionVariable = "dispatcher_version"
	probeFunction   = "probe"
)

// loadDispatcher loads a dispatcher with c as its configuration. Its attach type is
// XDP, as libbpf gives libxdp's: the kernel links a component only to dispatchers of
// the attach type of the one it was loaded against (bpf_check_attach_target). Where c wants
// frags and the kernel has none (before 5.18) it is loaded without; what came of
// it is returned.
func loadDispatcher(c config) (*ebpf.Program, config, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, config{}, fmt.Errorf("reading our dispatcher: %w", err)
	}
	prog, err := loadSpec(spec.Copy(), c)
	if c.frags && errors.Is(err, unix.EINVAL) {
		c.frags = false
		prog, err = loadSpec(spec, c)
	}
	if err != nil {
		return nil, config{}, fmt.Errorf("loading the dispatcher: %w", err)
	}
	return prog, c, nil
}

func loadSpec(spec *ebpf.CollectionSpec, c config) (prog *ebpf.Program, err error) {
	main, values := spec.Programs[mainFunction], spec.Maps[configMap]
	if main == nil || values == nil {
		return nil, fmt.Errorf("our object lacks %s or %s", mainFunction, configMap)
	}
	// It is the only value, and nobody looks at how it is called: without BTF the
	// map is the same on every kernel.
	values.Key, values.Value = nil, nil
	values.Contents = []ebpf.MapKV{{Key: uint32(0), Value: c.encode()}}
	m, err := ebpf.NewMap(values)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, m.Close()) }()
	for i := range main.Instructions {
		ins := &main.Instructions[i]
		if ins.IsLoadFromMap() && ins.Reference() == configMap {
			if err := ins.AssociateMap(m); err != nil {
				return nil, err
			}
		}
	}
	if c.frags {
		main.Flags |= unix.BPF_F_XDP_HAS_FRAGS
	}
	var metadata *btf.Datasec
	if err := spec.Types.TypeByName(metadataSection, &metadata); err != nil {
		return nil, fmt.Errorf("finding %s: %w", metadataSection, err)
	}
	return loadWithTypes(main, metadata)
}
