// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/cavaliergopher/cpio"
)

// File is the content of one file in the virtual machine: Path on the host, or
// Data when Path is empty.
type File struct {
	Path string
	Data []byte
	// Executable files get mode 0755, others 0644.
	Executable bool
}

// moduleDir is where the guest finds the modules; their names begin with a
// number that gives the load order.
const moduleDir = "/modules"

// ramdisk lists what goes into the initial RAM disk, by absolute path.
func (o Options) ramdisk() map[string]File {
	files := maps.Clone(o.Files)
	if files == nil {
		files = map[string]File{}
	}
	files["/init"] = File{Path: o.Init, Executable: true}
	for i, module := range o.Kernel.Modules {
		files[fmt.Sprintf("%s/%03d-%s", moduleDir, i, path.Base(module))] = File{Path: module}
	}
	return files
}

// writeRamdisk writes the files, and the folders above them, as a cpio archive.
// It is not compressed: unpacking is slow on an emulated processor.
func writeRamdisk(w io.Writer, files map[string]File) error {
	archive := cpio.NewWriter(w)
	made := map[string]bool{"/": true}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !path.IsAbs(name) || path.Clean(name) != name {
			return fmt.Errorf("guest file %q: want a clean absolute path", name)
		}
		if err := writeFolders(archive, path.Dir(name), made); err != nil {
			return err
		}
		if err := writeFile(archive, name, files[name]); err != nil {
			return fmt.Errorf("guest file %s: %w", name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("finishing the initial RAM disk: %w", err)
	}
	return nil
}

func writeFolders(archive *cpio.Writer, dir string, made map[string]bool) error {
	if made[dir] {
		return nil
	}
	if err := writeFolders(archive, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	err := archive.WriteHeader(&cpio.Header{Name: strings.TrimPrefix(dir, "/"), Mode: cpio.TypeDir | 0o755, Links: 2})
	if err != nil {
		return fmt.Errorf("guest folder %s: %w", dir, err)
	}
	return nil
}

func writeFile(archive *cpio.Writer, name string, f File) error {
	data := f.Data
	if f.Path != "" {
		var err error
		if data, err = os.ReadFile(f.Path); err != nil {
			return err
		}
	}
	mode := cpio.FileMode(0o644)
	if f.Executable {
		mode = 0o755
	}
	header := &cpio.Header{Name: strings.TrimPrefix(name, "/"), Mode: cpio.TypeReg | mode, Size: int64(len(data)), Links: 1}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := archive.Write(data)
	return err
}
