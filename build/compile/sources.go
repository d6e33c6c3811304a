// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/build"
)

// sourceSuffix marks BPF C among other C (libbpf-bootstrap's convention).
const sourceSuffix = ".bpf.c"

// maxEntries bounds how many entries of a source folder are looked at.
const maxEntries = 100_000

// Sources lists the files of a folder that [Compile] takes by itself: regular
// files (or links to them) that end in ".bpf.c" and do not begin with a dot, sorted. There may be
// none; a folder that cannot be read is an error.
func Sources(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("looking for sources: %w", err)
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("%w: %q has %d entries, at most %d are looked through", build.ErrInput, folder, len(entries), maxEntries)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, sourceSuffix) || strings.HasPrefix(name, ".") || !isFile(folder, name) {
			continue
		}
		names = append(names, name)
	}
	return names, nil
}

func isFile(folder, name string) bool {
	info, err := os.Stat(filepath.Join(folder, name))
	return err == nil && info.Mode().IsRegular()
}

// chooseSources checks the sources asked for, or takes the folder's.
func chooseSources(folder string, asked []string) ([]string, error) {
	names := asked
	if len(asked) == 0 {
		var err error
		if names, err = Sources(folder); err != nil {
			return nil, err
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("%w: no *%s in %q; name the sources in the build file (compile: sources:)", build.ErrInput, sourceSuffix, folder)
	case len(names) > build.MaxObjects:
		return nil, fmt.Errorf("%w: %d sources in %q, at most %d objects fit one image", build.ErrInput, len(names), folder, build.MaxObjects)
	}
	objects := map[string]string{}
	for _, name := range names {
		if err := checkSource(folder, name); err != nil {
			return nil, err
		}
		object := objectName(name)
		if other, dup := objects[object]; dup {
			return nil, fmt.Errorf("%w: %q and %q both become %q; rename one of them", build.ErrInput, other, name, object)
		}
		objects[object] = name
	}
	return names, nil
}

// checkSource lets through what can be an argument of a compiler, a line of its
// dependency file and a name in an image.
func checkSource(folder, name string) error {
	for _, c := range name {
		if c < ' ' || c > '~' || c == '\\' {
			return fmt.Errorf("%w: source %q: its name holds %q; use printable ASCII", build.ErrInput, name, c)
		}
	}
	switch {
	case !filepath.IsLocal(name):
		return fmt.Errorf("%w: source %q is not below the folder", build.ErrInput, name)
	case !strings.HasSuffix(name, ".c") || strings.HasPrefix(filepath.Base(name), "."):
		return fmt.Errorf("%w: source %q is no C file: its name must end in .c and not begin with a dot", build.ErrInput, name)
	}
	info, err := os.Stat(filepath.Join(folder, name))
	if err != nil {
		return fmt.Errorf("%w: source %q: %w", build.ErrInput, name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: source %q is no regular file (%s)", build.ErrInput, name, fs.FormatFileInfo(info))
	}
	return nil
}

// objectName is the object a source becomes: counter.bpf.o of counter.bpf.c.
func objectName(source string) string {
	return strings.TrimSuffix(filepath.Base(source), ".c") + ".o"
}

// argument is a path below the folder as tools get it: never like an option
// ("-x.c"), and never like a file with options ("@x.c").
func argument(local string) string {
	return "./" + filepath.ToSlash(filepath.Clean(local))
}
