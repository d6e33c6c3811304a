// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
)

// maxFileName is the longest name that Linux's file systems take, in bytes.
const maxFileName = 255

// writeObjects writes each object into a file of its own in dir, "" for the current
// folder, and no file anywhere else: names come from a stranger. What is there is left
// alone without force; with it, a file is replaced, and a symbolic link too, which is
// never followed. If one cannot be written, those that are new are removed again.
func writeObjects(dir string, objects []pull.Object, force bool) (files []extractedFile, err error) {
	if err := checkNames(objects); err != nil {
		return nil, err
	}
	if dir == "" {
		dir = "."
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, root.Close()) }()
	put := create
	if force {
		put = replace
	}
	for i, o := range objects {
		if err := put(root, o); err != nil {
			return nil, joined.Errors(inFolder(dir, err), undo(root, objects[:i], force))
		}
		files = append(files, extractedFile{Path: filepath.Join(dir, o.File), Digest: o.Digest, Size: len(o.Bytes)})
	}
	return files, nil
}

// inFolder names the folder, of which a [os.Root] does not speak.
func inFolder(dir string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("in %s: %w; --force replaces it", dir, err)
	}
	return fmt.Errorf("in %s: %w", dir, err)
}

func checkNames(objects []pull.Object) error {
	seen := map[string]bool{}
	for _, o := range objects {
		if !goodFileName(o.File) {
			return fmt.Errorf("the object's name %q is none for a file; `bpfimg extract --to-stdout` writes it without", o.File)
		}
		// Some file systems do not tell the two apart.
		if fold := strings.ToLower(o.File); seen[fold] {
			return fmt.Errorf("two objects are called %q", o.File)
		} else {
			seen[fold] = true
		}
	}
	return nil
}

// goodFileName says whether name can be that of a file in any folder, and of nothing
// else. [pull] takes no others; here they meet the disk.
func goodFileName(name string) bool {
	return name != "" && utf8.ValidString(name) && len(name) <= maxFileName && name != "." && name != ".." && filepath.IsLocal(name) &&
		!strings.ContainsAny(name, `/\`) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) &&
		(runtime.GOOS != "windows" || !strings.ContainsAny(name, `:*?"<>|`))
}

// create writes a file that is not there yet.
func create(root *os.Root, o pull.Object) error { return write(root, o.File, o.Bytes) }

func write(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = joined.Errors(err, f.Close()); err != nil {
		return joined.Errors(err, root.Remove(name))
	}
	return nil
}

// replace puts a file in the place of the one that may be there, whole or not at all.
func replace(root *os.Root, o pull.Object) error {
	temp := ".bpfimg-" + rand.Text()
	if err := write(root, temp, o.Bytes); err != nil {
		return err
	}
	if err := root.Rename(temp, o.File); err != nil {
		return joined.Errors(err, root.Remove(temp))
	}
	return nil
}

// undo removes what was written, unless something was replaced by it.
func undo(root *os.Root, objects []pull.Object, replaced bool) (err error) {
	if replaced {
		return nil
	}
	for _, o := range objects {
		err = joined.Errors(err, root.Remove(o.File))
	}
	return err
}
