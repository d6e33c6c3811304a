// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfarchive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
)

// Limits of an archive.
const (
	// MaxFile bounds a file, and what is packed in it, in bytes. The BTF of a
	// kernel is 3 to 20 MiB.
	MaxFile = 64 << 20
	// maxEntries bounds files and folders; all of BTFHub's are below 20000.
	maxEntries = 1 << 17
	// maxPath bounds how deep folders nest.
	maxPath = 32
)

// ErrArchive: the folder is not one this package reads, or has nothing for the
// architecture.
var ErrArchive = errors.New("no archive of kernels' BTF")

// architectures by what folders are called: the kernel's and distributions'
// names (uname -m), and Go's, in which the values are.
var architectures = map[string]string{
	"x86_64": "amd64", "amd64": "amd64",
	"aarch64": "arm64", "arm64": "arm64",
	"armv7l": "arm", "armhf": "arm", "arm": "arm",
	"i386": "386", "i686": "386", "386": "386",
	"ppc64le": "ppc64le", "ppc64el": "ppc64le", "ppc64": "ppc64",
	"riscv64": "riscv64", "s390x": "s390x", "loongarch64": "loong64", "loong64": "loong64",
	"mips": "mips", "mipsel": "mipsle", "mipsle": "mipsle", "mips64": "mips64", "mips64el": "mips64le", "mips64le": "mips64le",
}

// Kernel is one file.
type Kernel struct {
	// Release is what `uname -r` says there; Path the file below the folder.
	Release, Path string

	packed bool
}

// Archive is an open folder. Close it after use.
type Archive struct {
	root *os.Root
	dir  string
}

// Open opens the folder dir.
func Open(dir string) (*Archive, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the BTF archive: %w", err)
	}
	return &Archive{root: root, dir: dir}, nil
}

// Close releases the folder.
func (a *Archive) Close() error { return a.root.Close() }

// Kernels lists those of an architecture (in Go's spelling), sorted by release
// and path. A file below no folder with an architecture's name counts as being
// of this one, but for BTFHub's third folder, which must be known. The error
// wraps [ErrArchive] when there are none, or too many.
func (a *Archive) Kernels(ctx context.Context, arch string) ([]Kernel, error) {
	l := listing{ctx: ctx, arch: arch, others: map[string]int{}}
	if err := fs.WalkDir(a.root.FS(), ".", l.visit); err != nil {
		return nil, fmt.Errorf("reading the BTF archive %q: %w", a.dir, err)
	}
	if len(l.found) == 0 {
		return nil, fmt.Errorf("%w: %q has no file RELEASE.btf or RELEASE.btf.tar.xz for %s%s", ErrArchive, a.dir, arch, l.instead())
	}
	slices.SortFunc(l.found, func(x, y Kernel) int {
		return cmp.Or(cmp.Compare(x.Release, y.Release), cmp.Compare(x.Path, y.Path))
	})
	return l.found, nil
}

// listing is one walk.
type listing struct {
	ctx     context.Context
	arch    string
	found   []Kernel
	others  map[string]int // how many there are of other architectures
	entries int
}

// visit sees files and folders; links are neither, and are left alone.
func (l *listing) visit(name string, entry fs.DirEntry, err error) error {
	if err := cmp.Or(err, l.ctx.Err()); err != nil {
		return err
	}
	if l.entries++; l.entries > maxEntries {
		return fmt.Errorf("%w: over %d files and folders", ErrArchive, maxEntries)
	}
	if strings.Count(name, "/") > maxPath {
		return fmt.Errorf("%w: folder %q is over %d deep", ErrArchive, path.Dir(name), maxPath)
	}
	release, packed, ok := releaseOf(path.Base(name))
	if !ok || !entry.Type().IsRegular() {
		return nil
	}
	arch, err := archOf(name)
	if err != nil {
		return err
	}
	if arch != "" && arch != l.arch {
		l.others[arch]++
		return nil
	}
	if !schemas.ValidKernelRelease(release) {
		return fmt.Errorf("%w: %q: %q is not the release of a kernel (1 to %d printable characters)", ErrArchive, name, release, schemas.MaxKernelRelease)
	}
	if l.found = append(l.found, Kernel{Release: release, Path: name, packed: packed}); len(l.found) > schemas.MaxBTFKernels {
		return fmt.Errorf("%w: over %d kernels; name a folder with fewer, such as that of one distribution", ErrArchive, schemas.MaxBTFKernels)
	}
	return nil
}

// instead says what there is for others.
func (l *listing) instead() string {
	var parts []string
	for _, arch := range slices.Sorted(maps.Keys(l.others)) {
		parts = append(parts, fmt.Sprintf("%d for %s", l.others[arch], arch))
	}
	if len(parts) == 0 {
		return ""
	}
	return "; it has " + strings.Join(parts, ", ")
}

// releaseOf reads a file's name.
func releaseOf(base string) (release string, packed, ok bool) {
	if release, ok = strings.CutSuffix(base, ".btf.tar.xz"); ok {
		return release, true, true
	}
	release, ok = strings.CutSuffix(base, ".btf")
	return release, false, ok
}

// archOf finds the innermost folder with an architecture's name, "" without.
func archOf(name string) (string, error) {
	folders := strings.Split(path.Dir(name), "/")
	for _, f := range slices.Backward(folders) {
		if arch, ok := architectures[f]; ok {
			return arch, nil
		}
	}
	const hub = 3 // DISTRIBUTION/VERSION/ARCHITECTURE
	if len(folders) == hub {
		return "", fmt.Errorf("%w: %q: folder %q should be an architecture such as x86_64 or arm64, and is none that is known",
			ErrArchive, name, folders[hub-1])
	}
	return "", nil
}
