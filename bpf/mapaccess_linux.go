// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// mapAccess is who may open the pins of an instance's maps. The zero value is
// nobody but root.
type mapAccess struct {
	// mode of the pins, 0 to leave them as they are.
	mode fs.FileMode
	// gid they belong to, -1 to leave it.
	gid int
}

// newMapAccess checks mode and group.
func newMapAccess(opts RunOptions) (mapAccess, error) {
	a := mapAccess{mode: opts.MapMode, gid: -1}
	if a.mode&^0o666 != 0 {
		return a, fmt.Errorf("%w: map mode %#o: only read and write bits mean something for a map, such as 0660", ErrSetting, uint32(a.mode))
	}
	if a.mode != 0 && a.mode&0o600 != 0o600 {
		return a, fmt.Errorf("%w: map mode %#o: the owner, root, keeps reading and writing; give 06xx", ErrSetting, uint32(a.mode))
	}
	if opts.MapGroup == "" {
		return a, nil
	}
	if a.mode == 0 {
		a.mode = 0o660
	}
	var err error
	a.gid, err = lookupGroup(opts.MapGroup)
	return a, err
}

// lookupGroup finds a group by name, or takes its number.
func lookupGroup(name string) (int, error) {
	number := name
	if g, err := user.LookupGroup(name); err == nil {
		number = g.Gid
	} else if unknown := user.UnknownGroupError(""); !errors.As(err, &unknown) {
		return -1, fmt.Errorf("looking up group %q: %w", name, err)
	}
	gid, err := strconv.ParseUint(number, 10, 31)
	if err != nil {
		return -1, fmt.Errorf("%w: there is no group %q on this machine: make it, or give its number", ErrSetting, name)
	}
	return int(gid), nil
}

// recorded is how the record spells it.
func (a mapAccess) recorded(opts RunOptions) (mode, group string) {
	if a.mode == 0 {
		return "", ""
	}
	return fmt.Sprintf("%04o", uint32(a.mode)), opts.MapGroup
}

// passage are the bits of a folder that let those pass who may open the maps in
// it: to search, not to list.
func (a mapAccess) passage() fs.FileMode {
	var bits fs.FileMode
	if a.mode&0o060 != 0 {
		bits |= 0o010
	}
	if a.mode&0o006 != 0 {
		bits |= 0o001
	}
	return bits
}

// openMaps gives the pins of maps their mode and group, and then lets those pass
// who may open them: in this order, so that nobody is ever let in too far.
func (s *starting) openMaps(ctx context.Context) error {
	if s.access.mode == 0 {
		return nil
	}
	for _, m := range s.objs.maps {
		if err := s.m.at(ctx, "chmod map "+m.Name); err != nil {
			return err
		}
		if err := s.access.give(m.Pin, s.access.mode); err != nil {
			return fmt.Errorf("map %q: %w", m.Name, err)
		}
	}
	if err := s.m.at(ctx, "chmod folders"); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Join(s.rec.PinPath, pinMaps), s.rec.PinPath} {
		if err := s.access.give(dir, 0o700|s.access.passage()); err != nil {
			return err
		}
	}
	for dir := s.m.bpffs; ; dir = filepath.Dir(dir) {
		is, err := onBPFFS(dir)
		if err != nil || !is {
			return err
		}
		if err := s.letPass(dir); err != nil {
			return err
		}
	}
}

// give sets group and then mode.
func (a mapAccess) give(path string, mode fs.FileMode) error {
	if a.gid >= 0 {
		err := os.Lchown(path, -1, a.gid)
		if errors.Is(err, unix.EPERM) {
			return &PermissionError{Op: "giving " + path + " to another group", Capability: "CAP_CHOWN", Err: err}
		}
		if err != nil {
			return fmt.Errorf("setting the group: %w", err)
		}
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("setting the mode: %w", err)
	}
	return nil
}

// letPass opens a folder that other instances, or others altogether, use too. If
// its group bits are free, the group gets them and nobody else passes; if another
// group has them, everybody may pass, which opens no file and no folder below.
// Nobody may list it, and nothing is taken away.
func (s *starting) letPass(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	want := s.access.passage()
	has := fs.FileMode(st.Mode) & 0o777
	gid := int(st.Gid)
	switch {
	case has&0o001 != 0:
		return nil
	case want&0o001 != 0:
		want = 0o001
	case s.access.gid < 0 || gid == s.access.gid:
		want = 0o010
	case gid == 0 && has&0o070 == 0:
		if err := os.Lchown(dir, -1, s.access.gid); err != nil {
			return fmt.Errorf("giving %s to the group of the maps: %w", dir, err)
		}
		want = 0o010
	default:
		want = 0o001
	}
	if has&want == want {
		return nil
	}
	s.m.log.Warn("a folder was made passable for those who may open the maps", "folder", dir, "mode", fmt.Sprintf("%04o", uint32(has|want)))
	if err := os.Chmod(dir, has|want|stickyBit(st.Mode)); err != nil {
		return fmt.Errorf("setting the mode: %w", err)
	}
	return nil
}

// stickyBit keeps the bit bpffs mounts have.
func stickyBit(mode uint32) fs.FileMode {
	if mode&unix.S_ISVTX != 0 {
		return fs.ModeSticky
	}
	return 0
}
