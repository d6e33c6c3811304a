// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// maxFolders bounds how many entries of the folder are looked at.
const maxFolders = 4096

// Stale removes the pin folders of dispatchers that nobody needs, as a process
// leaves them that was killed, and returns their paths. A dispatcher is needed that
// is attached to an interface of any network namespace that can be found, or that
// a process has open: it may be about to attach it. Namespaces are found by the
// files in /run/netns and by all processes. Who cannot see the processes of the
// system must not call it: their number in a container is that of the container.
func (d *Dispatchers) Stale(ctx context.Context) ([]string, error) {
	stale, err := d.FindStale(ctx)
	if err != nil {
		return nil, err
	}
	for i, folder := range stale {
		if err := removeFolder(folder); err != nil {
			return stale[:i], fmt.Errorf("removing the pins of a dispatcher that is attached nowhere: %w", err)
		}
	}
	return stale, nil
}

// FindStale is [Dispatchers.Stale] that removes nothing.
func (d *Dispatchers) FindStale(ctx context.Context) ([]string, error) {
	folders, err := d.folders()
	if err != nil || len(folders) == 0 {
		return nil, err
	}
	// In this order: what a process had open when the interfaces were read is
	// attached then, or still open after.
	used, err := attachedEverywhere(ctx)
	if err != nil {
		return nil, err
	}
	if err := openPrograms(ctx, used); err != nil {
		return nil, err
	}
	// Once more, for one that was attached in between and closed after.
	again, err := attachedEverywhere(ctx)
	if err != nil {
		return nil, err
	}
	var stale []string
	for _, f := range folders {
		if !used[f.id] && !again[f.id] {
			stale = append(stale, f.path)
		}
	}
	return stale, nil
}

// pinFolder is a folder of pins and the dispatcher it is of.
type pinFolder struct {
	path string
	id   uint32
}

func (d *Dispatchers) folders() ([]pinFolder, error) {
	dir, err := os.Open(d.folder)
	if err != nil {
		return nil, fmt.Errorf("listing dispatchers: %w", err)
	}
	entries, err := dir.ReadDir(maxFolders)
	if err = errors.Join(ignoreEOF(err), dir.Close()); err != nil {
		return nil, fmt.Errorf("listing dispatchers: %w", err)
	}
	var list []pinFolder
	for _, e := range entries {
		if _, id, ok := parseFolder(e.Name()); ok && e.IsDir() {
			list = append(list, pinFolder{filepath.Join(d.folder, e.Name()), id})
		}
	}
	return list, nil
}
