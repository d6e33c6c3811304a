// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

// tool is a program that was found.
type tool struct {
	Tool
	major int // of its version; 0 if it does not say
}

const (
	maxVersionText = 4096 // bytes of --version
	maxVersionLine = 256  // bytes of it that are kept; clang's first line is below 150
)

var clangVersion = lazyregexp.New(`clang version (\d{1,4})\.`)

// findTools looks for clang and llvm-strip and asks them for their versions.
func (j *job) findTools(ctx context.Context) error {
	path, err := j.findClang()
	if err != nil {
		return err
	}
	if j.clang, err = j.ask(ctx, path); err != nil {
		return err
	}
	j.report.Clang = j.clang.Tool
	if path := j.findStrip(); path != "" {
		if j.strip, err = j.ask(ctx, path); err != nil {
			return err
		}
		j.report.Strip = j.strip.Tool
		return nil
	}
	fmt.Fprintln(j.log, "llvm-strip not found (package llvm): the objects keep their debug information and are larger than they need be")
	return nil
}

// ask runs a tool with --version.
func (j *job) ask(ctx context.Context, path string) (tool, error) {
	out := &head{max: maxVersionText}
	c := command{words: []string{path, "--version"}, env: j.environment(), timeout: j.timeout, stdout: out}
	if err := c.run(ctx); err != nil {
		return tool{}, fmt.Errorf("asking %q for its version: %w", path, err)
	}
	t := tool{Tool: Tool{Path: path, Version: firstLine(out.data)}}
	if m := clangVersion().FindSubmatch(out.data); m != nil {
		t.major, _ = strconv.Atoi(string(m[1])) // at most four digits
	}
	return t, nil
}

// firstLine is the first line with something in it, in printable ASCII: it
// becomes an annotation.
func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimSpace(line))
	return line[:min(len(line), maxVersionLine)]
}

// findClang takes what was asked for, else clang, else the newest clang-N.
func (j *job) findClang() (string, error) {
	wanted := j.wanted
	if wanted == "" {
		wanted, _ = j.lookup("CLANG")
	}
	if wanted != "" {
		if path := j.inPath(wanted); path != "" {
			return path, nil
		}
		return "", &Error{fmt.Errorf("%w: %q (--clang or CLANG) is no program; it is one path or name, without arguments", ErrNoCompiler, wanted), j.packages(needClang)}
	}
	if path := j.inPath("clang"); path != "" {
		return path, nil
	}
	if path := j.newest("clang-"); path != "" {
		return path, nil
	}
	return "", &Error{fmt.Errorf("%w: neither clang nor clang-N is in PATH, and there is no --clang", ErrNoCompiler), j.packages(needClang)}
}

// findStrip prefers the llvm-strip that came with the compiler.
func (j *job) findStrip() string {
	if real, err := filepath.EvalSymlinks(j.clang.Path); err == nil {
		if path := program(filepath.Join(filepath.Dir(real), "llvm-strip")); path != "" {
			return path
		}
	}
	if path := j.inPath("llvm-strip-" + strconv.Itoa(j.clang.major)); path != "" {
		return path
	}
	if path := j.inPath("llvm-strip"); path != "" {
		return path
	}
	return j.newest("llvm-strip-")
}

// folders are those of PATH. Relative ones are passed over: what is run must not
// depend on the folder one stands in.
func (j *job) folders() []string {
	path, _ := j.lookup("PATH")
	return slices.DeleteFunc(filepath.SplitList(path), func(dir string) bool { return !filepath.IsAbs(dir) })
}

// inPath finds a program by its name, or checks its path; "" if there is none.
func (j *job) inPath(name string) string {
	if filepath.Base(name) != name {
		path, err := filepath.Abs(name)
		if err != nil {
			return ""
		}
		return program(path)
	}
	for _, dir := range j.folders() {
		if path := program(filepath.Join(dir, name)); path != "" {
			return path
		}
	}
	return ""
}

// program is the path of a file that can be run (with .exe on Windows), or "".
func program(path string) string {
	found, err := exec.LookPath(path)
	if err != nil {
		return ""
	}
	return found
}

// newest finds the program PREFIX-N with the largest N in PATH, or "".
func (j *job) newest(prefix string) string {
	type versioned struct {
		path  string
		major int
	}
	var found []versioned
	for _, dir := range j.folders() {
		entries, _ := os.ReadDir(dir) // folders of PATH need not exist
		for _, e := range entries {
			number, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".exe"), prefix)
			major, err := strconv.ParseUint(number, 10, 16)
			if !ok || err != nil {
				continue
			}
			if path := program(filepath.Join(dir, e.Name())); path != "" {
				found = append(found, versioned{path, int(major)})
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.MaxFunc(found, func(a, b versioned) int { return cmp.Compare(a.major, b.major) }).path
}
