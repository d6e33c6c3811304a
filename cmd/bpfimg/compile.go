// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

// buildFileName is the build file that is taken from a source folder by itself.
const buildFileName = "bpfimg.yaml"

func clangFlag() cli.Flag {
	return &cli.StringFlag{Name: "clang", EnvVars: []string{"CLANG"}, Usage: "compiler for C sources: a path or a name in PATH", DefaultText: "clang, else the newest clang-N"}
}

// sources are C files to compile: those of a folder, or some of them.
type sources struct {
	folder string
	files  []string // nil: what the build file says, else every *.bpf.c
	// file is the build file of the folder, if the command line names no other.
	file schemas.BuildFile
}

// sources says what the arguments give to compile; nil when they are objects.
func (s *session) sources() (*sources, error) {
	args := s.c.Args().Slice()
	var src *sources
	var err error
	for i, arg := range args {
		var next *sources
		if strings.HasSuffix(arg, ".c") {
			next, err = s.sourceFolder(filepath.Dir(arg))
			if next != nil {
				next.files = []string{filepath.Base(arg)}
			}
		} else if next, err = s.sourceFolder(arg); next != nil && !next.compiles() {
			next = nil
		}
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0:
			src = next
		case (src == nil) != (next == nil):
			return nil, usagef("build: sources and objects in one command; compile first, or build two images")
		case src == nil:
		case src.folder != next.folder || src.files == nil || next.files == nil:
			return nil, usagef("build: %s and %s: want one folder with sources, or .c files of one folder", args[0], arg)
		default:
			src.files = append(src.files, next.files...)
		}
	}
	return src, nil
}

// sourceFolder reads the build file of a folder; nil if it is none.
func (s *session) sourceFolder(folder string) (*sources, error) {
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, nil // an object, or not there: who opens it says so
	}
	src := &sources{folder: folder}
	path := s.c.String("file")
	if path == "" {
		path = filepath.Join(folder, buildFileName)
	}
	data, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) && !s.c.IsSet("file") {
		return src, nil
	}
	if err != nil {
		return nil, err
	}
	src.file, err = build.ReadFile(path, data)
	return src, err
}

// compiles says whether there is something to compile in the folder.
func (src *sources) compiles() bool {
	if src.file.Compile != nil && len(src.file.Compile.Sources) > 0 {
		return true
	}
	found, err := compile.Sources(src.folder)
	return err == nil && len(found) > 0
}

// compile compiles the sources for every platform and fills in what opts do not
// say of them.
func (s *session) compile(src *sources, platforms []string, opts *build.Options) ([]build.Variant, *compile.Report, error) {
	opts.File = src.file
	given := compile.Options{Folder: src.folder, Platforms: platforms, Clang: s.c.String("clang"), Log: s.term.err, Lookup: s.term.lookup}
	if src.file.Compile != nil {
		given.Spec = *src.file.Compile
	}
	if src.files != nil {
		given.Spec.Sources = src.files
	}
	s.noticeObjects(src)
	variants, report, err := compile.Compile(s.c.Context, given)
	if err != nil {
		return nil, nil, err
	}
	opts.Compiler = report.Clang.Version
	if opts.File.Revision == "" {
		opts.File.Revision = report.Revision
	}
	if opts.File.Source == "" {
		opts.File.Source = report.Remote
	}
	return variants, &report, nil
}

// noticeObjects says that objects beside the sources are not what is packaged.
func (s *session) noticeObjects(src *sources) {
	if src.files != nil {
		return
	}
	if old, err := filepath.Glob(filepath.Join(globQuote(src.folder), "*.o")); err == nil && len(old) > 0 {
		s.term.notice("compiling the sources in %s; the objects there stay out of the image (to package those, name them)", src.folder)
	}
}

// globQuote takes the meaning from the characters of a path that have one in a
// pattern.
func globQuote(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}
