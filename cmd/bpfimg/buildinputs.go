// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/schemas"
)

// buildVariants reads what the arguments of build name: objects, objects each
// with its platform, or a folder. platforms are those of --platform. One variant
// makes an image, several an index.
func buildVariants(args, platforms []string) ([]build.Variant, error) {
	if len(args) == 1 && isFolder(args[0]) {
		return folderVariants(args[0], platforms)
	}
	var said, paths []string // said[i] is the platform of paths[i], or ""
	for _, arg := range args {
		platform, path, err := cutPlatform(arg)
		if err != nil {
			return nil, err
		}
		if isFolder(path) {
			return nil, usagef("%s is a folder; give it alone, or the objects in it", path)
		}
		said, paths = append(said, platform), append(paths, path)
	}
	inputs, err := readObjects(paths)
	if err != nil {
		return nil, err
	}
	if strings.Join(said, "") == "" {
		return build.Variants(inputs, platforms)
	}
	if len(platforms) > 0 {
		return nil, usagef("--platform and OS/ARCH=OBJECT.o contradict each other; give one of them")
	}
	return byPlatform(said, inputs)
}

// wantedPlatforms splits what --platform was given, with commas as docker has it.
func wantedPlatforms(given []string) []string {
	if len(given) == 0 {
		return nil
	}
	return strings.Split(strings.Join(given, ","), ",")
}

// byPlatform gathers the inputs of each platform, in the order they were given.
func byPlatform(platforms []string, inputs []build.Input) ([]build.Variant, error) {
	var variants []build.Variant
	at := map[schemas.Platform]int{}
	for i, platform := range platforms {
		if platform == "" {
			return nil, usagef("%s has no platform and others have one; give each object as OS/ARCH=OBJECT.o", inputs[i].Name)
		}
		p, err := schemas.ParsePlatform(platform)
		if err != nil {
			return nil, usageError{err}
		}
		j, known := at[p]
		if !known {
			j = len(variants)
			at[p] = j
			variants = append(variants, build.Variant{Platform: platform})
		}
		variants[j].Inputs = append(variants[j].Inputs, inputs[i])
	}
	return variants, nil
}

// cutPlatform splits OS/ARCH[/VARIANT]=FILE. A file whose name has such a
// beginning is a file.
func cutPlatform(arg string) (platform, path string, err error) {
	platform, path, found := strings.Cut(arg, "=")
	if !found {
		return "", arg, nil
	}
	if _, err := os.Lstat(arg); err == nil {
		return "", arg, nil
	}
	if _, err := schemas.ParsePlatform(platform); err != nil || path == "" {
		return "", "", usagef("there is no file %q, and as OS/ARCH=OBJECT.o it makes no sense; want for example linux/arm64=counter.bpf.o", arg)
	}
	return platform, path, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// folderVariants decides what a folder is to build: objects that are compiled
// already.
func folderVariants(dir string, platforms []string) ([]build.Variant, error) {
	paths, err := objectsIn(dir)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, usagef("there is no .o file in the folder %s; compile first, such as with `clang -g -O2 -target bpf -c X.bpf.c -o X.bpf.o` or bpf2go", dir)
	}
	inputs, err := readObjects(paths)
	if err != nil {
		return nil, err
	}
	return build.Variants(inputs, platforms)
}

// objectsIn lists the objects of a folder itself, sorted by name: files, and what
// cannot be followed to find out. Hidden ones are left out, as *.o does.
func objectsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".o") || strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

func readObjects(paths []string) ([]build.Input, error) {
	if len(paths) > build.MaxObjects {
		return nil, fmt.Errorf("%d objects are too many, at most %d are read", len(paths), build.MaxObjects)
	}
	var inputs []build.Input
	for _, path := range paths {
		data, err := limited.ReadFile(path, inspect.MaxObject)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, build.Input{Name: filepath.Base(path), Bytes: data})
	}
	return inputs, nil
}
