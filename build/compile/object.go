// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"context"
	"crypto/sha1" // #nosec G505 -- SPDX wants it beside SHA-256; nothing trusts it
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/internal/limited"
)

// configs is the first clang that knows --no-default-config; from then on it
// reads configuration files, which differ from machine to machine.
const configs = 16

// compileTarget compiles every source for one platform; i numbers it.
func (j *job) compileTarget(ctx context.Context, i int, t target) (build.Variant, error) {
	dir := filepath.Join(j.scratch, strconv.Itoa(i))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return build.Variant{}, fmt.Errorf("making a folder for the compiler's output: %w", err)
	}
	flags, err := j.targetFlags(t)
	if err != nil {
		return build.Variant{}, err
	}
	v := build.Variant{Platform: t.platform}
	for _, source := range j.sources {
		data, object, err := j.compileSource(ctx, t, dir, source, flags)
		if err != nil {
			return build.Variant{}, err
		}
		v.Inputs = append(v.Inputs, build.Input{Name: object.Name, Bytes: data})
		j.report.Objects = append(j.report.Objects, object)
	}
	return v, nil
}

// targetFlags are the arguments all sources of a platform have in common. -g is
// for BTF, which comes out of debug information; the build file's flags come
// after ours, so that its -O counts.
func (j *job) targetFlags(t target) ([]string, error) {
	headers, err := j.headers(t.arch)
	if err != nil {
		return nil, err
	}
	flags := []string{
		"-target", t.arch.endian, "-g", "-O2", "-Wall", "-fno-stack-protector",
		"-D__TARGET_ARCH_" + t.arch.define, "-fdebug-compilation-dir=.",
	}
	if j.clang.major >= configs {
		flags = append(flags, "--no-default-config")
	}
	return slices.Concat(flags, j.flags, headers), nil
}

// compileSource makes one object.
func (j *job) compileSource(ctx context.Context, t target, dir, source string, flags []string) ([]byte, Object, error) {
	o := Object{Platform: t.platform, Name: objectName(source), Source: source}
	object := filepath.Join(dir, o.Name)
	deps := object + ".d"
	o.Command = slices.Concat([]string{j.clang.Path}, flags,
		[]string{"-MD", "-MT", "object", "-MF", deps, "-x", "c", "-c", argument(source), "-o", object})
	doing := fmt.Sprintf("compiling %q for %s", source, t.platform)
	if err := j.runTool(ctx, doing, t, o.Command); err != nil {
		return nil, o, err
	}
	if j.strip.Path != "" {
		o.StripCommand = []string{j.strip.Path, "-g", object}
		if err := j.runTool(ctx, fmt.Sprintf("removing the debug information of %q", o.Name), t, o.StripCommand); err != nil {
			return nil, o, err
		}
	}
	var err error
	if o.Files, err = j.filesRead(deps); err != nil {
		return nil, o, fmt.Errorf("%s: %w", doing, err)
	}
	data, err := limited.ReadFile(object, inspect.MaxObject)
	if err != nil {
		return nil, o, fmt.Errorf("%s: %w", doing, err)
	}
	return data, o, nil
}

// runTool shows a command and runs it in the source folder.
func (j *job) runTool(ctx context.Context, doing string, t target, words []string) error {
	fmt.Fprintf(j.log, "cd %s && %s\n", quote(j.folder), quoteAll(words))
	said := &diagnostics{out: j.log}
	epoch, ok := j.lookup("SOURCE_DATE_EPOCH")
	if !ok || epoch == "" {
		epoch = "0" // __DATE__ is as old as the image
	}
	c := command{
		words: words, dir: j.folder, timeout: j.timeout, stdout: said, stderr: said,
		env: j.environment("TMPDIR="+j.scratch, "SOURCE_DATE_EPOCH="+epoch),
	}
	err := c.run(ctx)
	said.close()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	if said.why != "" {
		err = errors.New(said.why)
	}
	kind := ErrCompile
	if said.untargeted {
		kind = ErrNoCompiler
	}
	return &Error{fmt.Errorf("%s: %w: %w", doing, kind, err), j.hint(said, t)}
}

// filesRead lists and hashes what a dependency file names. The stand-in headers
// are left out: they are ours, and gone afterwards.
func (j *job) filesRead(deps string) ([]File, error) {
	text, err := limited.ReadFile(deps, maxDepfile)
	if err != nil {
		return nil, err
	}
	names, err := parseDepfile(string(text))
	if err != nil {
		return nil, err
	}
	var files []File
	for _, name := range names {
		if strings.HasPrefix(name, j.scratch+string(filepath.Separator)) {
			continue
		}
		f, err := hashFile(j.folder, name)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// maxHeader bounds one source or header, in bytes; a vmlinux.h has 3 MB.
const maxHeader = 256 << 20

func hashFile(folder, name string) (File, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(folder, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return File{}, fmt.Errorf("hashing what the compiler read: %w", err)
	}
	defer f.Close()
	sum, weak := sha256.New(), sha1.New() // #nosec G401
	n, err := io.Copy(io.MultiWriter(sum, weak), io.LimitReader(f, maxHeader+1))
	if err != nil {
		return File{}, fmt.Errorf("hashing what the compiler read: %w", err)
	}
	if n > maxHeader {
		return File{}, fmt.Errorf("hashing what the compiler read: %q has more than %d bytes", name, maxHeader)
	}
	return File{
		Path: filepath.ToSlash(filepath.Clean(name)), Size: n,
		Digest: fmt.Sprintf("sha256:%x", sum.Sum(nil)), SHA1: fmt.Sprintf("%x", weak.Sum(nil)),
	}, nil
}
