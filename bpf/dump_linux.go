// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"slices"

	"github.com/bpfimg/bpfimg/bpf/mapdump"
	"github.com/bpfimg/bpfimg/schemas"
)

// DumpMap reads up to limit entries ([mapdump.DefaultLimit] for 0) of one map of
// an instance. Errors: [ErrNoInstance] for an unknown instance or map,
// [mapdump.ErrNotIterable], [PermissionError].
func (m *Manager) DumpMap(ctx context.Context, instance, mapName string, limit int) (MapDump, error) {
	rec, err := m.existing(instance)
	if err != nil {
		return MapDump{}, err
	}
	i := slices.IndexFunc(rec.Maps, func(mp schemas.InstanceMap) bool { return mp.Name == mapName })
	if i < 0 {
		names := make([]string, len(rec.Maps))
		for i, mp := range rec.Maps {
			names[i] = mp.Name
		}
		return MapDump{}, fmt.Errorf("%w: instance %q has no map %q; it has %s", ErrNoInstance, instance, mapName, quoted(names))
	}
	if err := needBPF(fmt.Sprintf("opening map %q of instance %q", mapName, instance)); err != nil {
		return MapDump{}, err
	}
	opened, err := openMapOf(rec.Maps[i])
	if err != nil {
		return MapDump{}, fmt.Errorf("opening map %q of instance %q: %w", mapName, instance, err)
	}
	defer opened.Close()
	dump, err := mapdump.Read(ctx, opened, mapdump.Options{Name: mapName, Type: rec.Maps[i].Type, Limit: limit})
	if err != nil {
		return MapDump{}, fmt.Errorf("instance %q: %w", instance, err)
	}
	return dump, nil
}
