// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

// Folders of pins.
const (
	defaultBPFFS = "/sys/fs/bpf/bpfimg"
	// customaryBPFFS is where everybody mounts bpffs; the kernel makes the folder.
	customaryBPFFS = "/sys/fs/bpf"
)

// Sub-folders of an instance's pins.
const (
	pinPrograms = "progs"
	pinMaps     = "maps"
	pinLinks    = "links"
	// pinNext holds, during an update, what will replace programs and maps.
	pinNext = "next"
)

// pinFolders in the order they are made.
func pinFolders() []string { return []string{pinPrograms, pinMaps, pinLinks} }

// updateFolders are those of an update besides, in the order they are made.
func updateFolders() []string {
	return []string{pinNext, filepath.Join(pinNext, pinPrograms), filepath.Join(pinNext, pinMaps)}
}

// pinName turns a name from an object into a file name in bpffs, which allows no
// dots: letters, digits, "_" and "-" stay, every other byte becomes "%" and two
// hex digits. ".rodata" is pinned as "%2erodata".
func pinName(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// ensureBPFFS makes dir, mode 0700, and mounts the bpffs above it when dir is
// below the customary place and nothing is mounted there. It refuses a folder that
// others may change: on a bpffs that is mounted without a mode anybody can make it
// before us, and take our pins away later.
func ensureBPFFS(dir string) error {
	is, err := onBPFFS(dir)
	if err != nil {
		return err
	}
	if !is {
		if dir != customaryBPFFS && !strings.HasPrefix(dir, customaryBPFFS+"/") {
			return fmt.Errorf("%s is not on a BPF file system: mount one there (mount -t bpf bpf DIR) or use a folder below %s", dir, customaryBPFFS)
		}
		if err := mountBPFFS(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder for pins: %w", err)
	}
	if dir == customaryBPFFS {
		return nil // not ours: somebody may have mounted it for all
	}
	folder, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at the folder for pins: %w", err)
	}
	if err := dispatcher.Private(folder); err != nil {
		return fmt.Errorf("in %s: %w", filepath.Dir(dir), err)
	}
	return nil
}

func mountBPFFS() error {
	set, err := effectiveCapabilities()
	if err != nil {
		return err
	}
	if err := set.require("mounting the BPF file system at "+customaryBPFFS, unix.CAP_SYS_ADMIN, true); err != nil {
		return err
	}
	if err := unix.Mount("bpf", customaryBPFFS, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mounting the BPF file system at %s: %w", customaryBPFFS, err)
	}
	return nil
}

// onBPFFS says whether dir, or the nearest parent that exists, is on a bpffs.
func onBPFFS(dir string) (bool, error) {
	for {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		if err == nil {
			return uint32(st.Type) == unix.BPF_FS_MAGIC, nil
		}
		if !errors.Is(err, unix.ENOENT) || dir == "/" {
			return false, fmt.Errorf("looking at the file system of %s: %w", dir, err)
		}
		dir = filepath.Dir(dir)
	}
}

// pinned lists the pins in one sub-folder, in their order; none when there is no
// such folder.
func pinned(dir, sub string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, sub))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing pins: %w", err)
	}
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, sub, e.Name()))
	}
	return paths, nil
}

// removePath removes a pin or an empty folder; one that is gone is no error.
func removePath(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a pin: %w", err)
	}
	return nil
}
