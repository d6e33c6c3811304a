// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// ErrNoLibrary: a program needs a shared library that is in none of the folders
// where the guest would look for it.
var ErrNoLibrary = errors.New("shared library not found")

// libraryFolders are where the dynamic linkers of Debian and Fedora look without
// /etc/ld.so.cache, which the guest has not ("ld.so --help" prints them).
var libraryFolders = []string{
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
}

// Limits on what is read from one program.
const (
	maxLibraries   = 64
	maxInterpreter = 4096 // PATH_MAX of linux/limits.h
)

// Dynamic lists what a dynamically linked linux/amd64 program of this machine
// needs in a guest: itself, its dynamic linker and its shared libraries, under
// the paths they have here. The files are read, none is run. The error wraps
// [ErrNoLibrary] when a library is missing.
func Dynamic(program string) (map[string]File, error) {
	files := map[string]File{program: {Path: program, Executable: true}}
	todo := []string{program}
	for len(todo) > 0 {
		object := todo[0]
		todo = todo[1:]
		needs, err := needed(object)
		if err != nil {
			return nil, fmt.Errorf("reading what %s needs: %w", program, err)
		}
		for _, path := range needs {
			if _, ok := files[path]; ok {
				continue
			}
			if len(files) > maxLibraries {
				return nil, fmt.Errorf("%s needs more than %d libraries", program, maxLibraries)
			}
			files[path] = File{Path: path, Executable: true}
			todo = append(todo, path)
		}
	}
	return files, nil
}

// needed are the paths of the interpreter and of the libraries that one ELF file
// names itself.
func needed(object string) (paths []string, err error) {
	f, err := elf.Open(object)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(io.LimitReader(p.Open(), maxInterpreter))
		if err != nil {
			return nil, fmt.Errorf("%s: reading the name of its interpreter: %w", object, err)
		}
		paths = append(paths, strings.TrimRight(string(name), "\x00"))
	}
	names, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", object, err)
	}
	for _, name := range names {
		path, err := findLibrary(name, libraryFolders)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", object, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// findLibrary is the first file of that name in the folders that fits the
// machine; like the dynamic linker it passes over those of another architecture.
func findLibrary(name string, folders []string) (string, error) {
	if filepath.Base(name) != name {
		return "", fmt.Errorf("%w: %q is no name of a library", ErrNoLibrary, name)
	}
	for _, folder := range folders {
		path := filepath.Join(folder, name)
		f, err := elf.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		fits := f.Class == elf.ELFCLASS64 && f.Machine == elf.EM_X86_64
		if err := f.Close(); err != nil {
			return "", err
		}
		if fits {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: %q is not in %s", ErrNoLibrary, name, strings.Join(folders, ", "))
}
