// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// wholeDisks are the file systems on which syncfs(2) does for all files what fsync(2)
// does for one: those that write to a disk of this machine themselves. Of those in
// user space and of other machines the kernel does not ask as much (FUSE_SYNCFS is
// sent to virtiofs only), and an overlay may be above one of these.
var wholeDisks = []uint32{
	unix.EXT4_SUPER_MAGIC, // ext2 and ext3 have the same
	unix.XFS_SUPER_MAGIC,
	unix.BTRFS_SUPER_MAGIC,
	unix.F2FS_SUPER_MAGIC,
	unix.TMPFS_MAGIC,
}

// syncfsReports says whether syncfs(2) tells of data that could not be written:
// since Linux 5.8 (syncfs(2), "VERSIONS"). Before, it is always content.
var syncfsReports = sync.OnceValue(func() bool {
	var name unix.Utsname
	var major, minor int
	if unix.Uname(&name) != nil {
		return false
	}
	if n, _ := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major > 5 || major == 5 && minor >= 8
})

// openDisk opens the file system that dir is on for [syncDisk]; nil where that is not
// to be relied on. It is opened before anything is written: the kernel reports to
// each open file the errors since it was opened.
func openDisk(dir string) *os.File {
	if !syncfsReports() {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return nil
	}
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &stat); err != nil || !slices.Contains(wholeDisks, uint32(stat.Type)) {
		_ = f.Close() // nothing was written through it
		return nil
	}
	return f
}

// syncDisk waits until all that was written to the file system is on the disk, by
// whoever it was written. done is false where the call is not to be had, as under
// some seccomp filters.
func syncDisk(disk *os.File) (done bool, err error) {
	err = unix.Syncfs(int(disk.Fd()))
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return false, nil
	}
	return err == nil, err
}
