// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// sockets takes the sockets out of the maps of sockets the instance has programs
// on. A socket keeps the programs it found when it was put in, and runs them until
// it is taken out, whatever becomes of the attachment; and a program that names
// the map keeps the map, and so all three each other.
func (r *removal) sockets(ctx context.Context) error {
	if r.rec == nil {
		return nil
	}
	known := implementations()
	var errs []error
	for _, m := range r.rec.Maps {
		used := slices.ContainsFunc(r.rec.Links, func(l schemas.InstanceLink) bool {
			_, onMap := known[l.Hook].(sockmapHook)
			return onMap && l.Map == m.Name
		})
		if !used || m.Shared != "" {
			continue // not ours to empty
		}
		if err := r.m.at(ctx, "empty map "+m.Name); err != nil {
			return joined.Errors(append(errs, err)...)
		}
		errs = append(errs, r.emptySockets(ctx, m))
	}
	return joined.Errors(errs...)
}

// emptySockets empties one, unless another instance uses it too.
func (r *removal) emptySockets(ctx context.Context, recorded schemas.InstanceMap) error {
	records, err := r.m.records()
	if err != nil {
		return err
	}
	for _, other := range records {
		if other.Name != r.rec.Name && other.BootID == r.rec.BootID &&
			slices.ContainsFunc(other.Maps, func(m schemas.InstanceMap) bool { return m.ID == recorded.ID }) {
			return nil
		}
	}
	m, err := openExactMap(recorded)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = joined.Errors(deleteSockets(ctx, m), m.Close())
	}
	if err != nil {
		return fmt.Errorf("taking the sockets out of map %q: %w", recorded.Name, err)
	}
	return nil
}

// openExactMap opens a recorded map by its pin if that is still its own, and else
// by its number: somebody may have removed the pin, and another process hold it.
func openExactMap(recorded schemas.InstanceMap) (*ebpf.Map, error) {
	if mapProblem(recorded) != "" {
		recorded.Pin = ""
	}
	return openMapOf(recorded)
}

// openExactProgram does the same for a program.
func openExactProgram(recorded schemas.InstanceProgram) (*ebpf.Program, error) {
	if programProblem(recorded) != "" {
		recorded.Pin = ""
	}
	return openProgramOf(recorded)
}

// deleteSockets deletes every entry of a sockmap or sockhash. The kernel gives no
// values, and of a sockmap every index is a key.
func deleteSockets(ctx context.Context, m *ebpf.Map) error {
	if m.Type() == ebpf.SockMap {
		return deleteIndexes(ctx, m)
	}
	// As many as fit, and no more: another process may be adding all the time.
	for range m.MaxEntries() {
		key, err := m.NextKeyBytes(nil)
		if err != nil || key == nil {
			return err
		}
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

func deleteIndexes(ctx context.Context, m *ebpf.Map) error {
	key := make([]byte, 4)
	for i := range m.MaxEntries() {
		binary.NativeEndian.PutUint32(key, i)
		// An empty index is EINVAL (__sock_map_delete, net/core/sock_map.c).
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) && !errors.Is(err, unix.EINVAL) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}
