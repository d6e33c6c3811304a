// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
)

// DefaultTimeout bounds one run of one tool. A program of ten thousand lines
// takes clang a few seconds.
const DefaultTimeout = 5 * time.Minute

// ScratchPrefix begins the name of the folder that the tools write to, which is
// another one each time; commands in a [Report] name it.
const ScratchPrefix = "bpfimg-compile-"

// Options of [Compile].
type Options struct {
	// Folder holds the sources; required. The compiler runs in it, so that its
	// path does not get into the objects.
	Folder string
	// Spec is the compile section of the build file; the zero value compiles
	// every *.bpf.c of the folder.
	Spec schemas.Compile
	// Platforms, "os/arch[/variant]" each; default: linux and this machine's
	// architecture. The sources are compiled once for each.
	Platforms []string
	// Clang is a path or a name in PATH; default: $CLANG, else clang, else the
	// newest clang-N in PATH. It is one word, never split.
	Clang string
	// Timeout of one run of one tool; default [DefaultTimeout].
	Timeout time.Duration
	// Log gets each command before it is run and what the tools print, in whole
	// lines and at most [MaxDiagnostics] of them for each run; default: nowhere. The
	// text is foreign: escape it.
	Log io.Writer
	// Lookup reads environment variables; default [os.LookupEnv]. Tools see PATH,
	// HOME and SOURCE_DATE_EPOCH of it, nothing else.
	Lookup func(string) (string, bool)
}

// Compile compiles the sources of a folder for each platform and returns the
// objects, in the order of platforms and sources, and how they came about. Nothing is
// written to the folder. Objects keep their type information (BTF); debug
// information (DWARF), which nothing reads at run time, is removed if llvm-strip
// is there.
//
// The error wraps [build.ErrFile] for a compile section that cannot be meant,
// [build.ErrOptions] for a platform, [build.ErrInput] for sources that cannot be
// used; it is an [*Error] when a tool is missing or fails.
func Compile(ctx context.Context, opts Options) (variants []build.Variant, report Report, err error) {
	j, err := newJob(opts)
	if err != nil {
		return nil, Report{}, err
	}
	if err := j.findTools(ctx); err != nil {
		return nil, Report{}, err
	}
	if j.scratch, err = os.MkdirTemp("", ScratchPrefix); err != nil {
		return nil, Report{}, fmt.Errorf("making a folder for the compiler's output: %w", err)
	}
	defer func() { err = joined.Errors(err, os.RemoveAll(j.scratch)) }()
	for i, t := range j.targets {
		v, err := j.compileTarget(ctx, i, t)
		if err != nil {
			return nil, Report{}, err
		}
		variants = append(variants, v)
	}
	j.readRevision(ctx)
	return variants, j.report, ctx.Err()
}

// job is one call of [Compile].
type job struct {
	folder  string // absolute
	sources []string
	flags   []string // those of the build file, checked
	targets []target
	clang   tool
	strip   tool // path "" when there is none
	wanted  string
	scratch string
	timeout time.Duration
	log     io.Writer
	lookup  func(string) (string, bool)
	report  Report
}

// newJob checks everything that can be checked before a tool is run.
func newJob(opts Options) (*job, error) {
	j := &job{wanted: opts.Clang, timeout: opts.Timeout, log: opts.Log, lookup: opts.Lookup}
	if j.timeout <= 0 {
		j.timeout = DefaultTimeout
	}
	if j.log == nil {
		j.log = io.Discard
	}
	if j.lookup == nil {
		j.lookup = os.LookupEnv
	}
	var err error
	if j.folder, err = filepath.Abs(opts.Folder); err != nil {
		return nil, fmt.Errorf("finding the source folder %q: %w", opts.Folder, err)
	}
	if j.flags, err = specFlags(j.folder, opts.Spec); err != nil {
		return nil, err
	}
	platforms := opts.Platforms
	if len(platforms) == 0 {
		platforms = []string{"linux/" + runtime.GOARCH}
	}
	if j.targets, err = parseTargets(platforms); err != nil {
		return nil, err
	}
	j.sources, err = chooseSources(j.folder, opts.Spec.Sources)
	return j, err
}
