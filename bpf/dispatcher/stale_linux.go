// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// maxFolders bounds how many entries of the folder are looked at.
const maxFolders = 4096

// Stale removes the pin folders of dispatchers that nobody needs, as a process
// leaves them that was killed, and returns their paths. A dispatcher is needed that
// is attached to an interface of any network namespace that can be found, or that
// a process has open: it may be about to attach it. Namespaces are found by the
// files in /run/netns, by all processes, and by what these see mounted; the error is [ErrBlind] for those who
// cannot see these, such as in a container.
func (d *Dispatchers) Stale(ctx context.Context) ([]string, error) {
	stale, err := d.FindStale(ctx)
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, folder := range stale {
		// One with files of somebody else in it keeps nobody from the others.
		if err := removeFolder(folder); err != nil {
			errs = append(errs, fmt.Errorf("removing the pins of a dispatcher that is attached nowhere: %w", err))
			continue
		}
		removed = append(removed, folder)
	}
	return removed, joined.Errors(errs...)
}

// Used says whether somebody has used the protocol here since the BPF file system
// was mounted: else [Open] would be the first to make its folder.
func Used(opts Options) bool {
	folder, err := opts.folder()
	if err != nil {
		return false
	}
	_, err = os.Stat(folder)
	return err == nil
}

// FindStale is [Dispatchers.Stale] that removes nothing.
func (d *Dispatchers) FindStale(ctx context.Context) ([]string, error) {
	folders, err := d.folders()
	if err != nil || len(folders) == 0 {
		return nil, err
	}
	// Mostly there is nothing to find, and no need to look at every process.
	first := newSearch()
	if err := first.named(); err != nil || first.covers(folders) {
		return nil, err
	}
	if err := seesAll(); err != nil {
		return nil, err
	}
	// In this order: what a process had open when the interfaces were read is
	// attached then, or still open after.
	if err := joined.Errors(first.processes(ctx), first.open(ctx)); err != nil {
		return nil, err
	}
	// Once more, for one that was attached in between and closed after.
	second := newSearch()
	if err := joined.Errors(second.named(), second.processes(ctx)); err != nil {
		return nil, err
	}
	var stale []string
	for _, f := range folders {
		if !first.used[f.id] && !second.used[f.id] {
			stale = append(stale, f.path)
		}
	}
	return stale, nil
}

// Holding is the folder of pins that a program is in, "" for none. After
// [Dispatchers.Stale] its chain is attached somewhere.
func (d *Dispatchers) Holding(program uint32) (string, error) {
	folders, err := d.folders()
	if err != nil {
		return "", err
	}
	for _, f := range folders {
		programs, err := pinnedComponents(f.path, Slots)
		if err != nil {
			return "", err
		}
		for _, id := range programs {
			if id == program {
				return f.path, nil
			}
		}
	}
	return "", nil
}

// covers says whether every dispatcher that has a folder is in use.
func (s *search) covers(folders []pinFolder) bool {
	for _, f := range folders {
		if !s.used[f.id] {
			return false
		}
	}
	return true
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
	if err = joined.Errors(ignoreEOF(err), dir.Close()); err != nil {
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
