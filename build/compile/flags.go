// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/bpfimg/bpfimg/schemas"
)

// flagForms are the only flags a build file may give. Everything else is
// refused, for among clang's options are some that load code into it
// (-fplugin=, -Xclang -load), read further options (@FILE, --config=), start
// other programs (-B, -Wl,) or write files (-o, -save-temps). None of these
// patterns lets a comma or a path through.
var flagForms = []struct {
	form    string
	pattern func() *regexp.Regexp
}{
	{"-UNAME", lazyregexp.New(`^-U[A-Za-z_][A-Za-z0-9_]*$`)},
	{"-WNAME, -Wno-NAME", lazyregexp.New(`^-W[a-z][a-z0-9+-]*(=[a-z0-9+-]+)?$`)},
	{"-O0 to -O3, -Os, -Oz", lazyregexp.New(`^-O[0-3sz]$`)},
	{"-std=NAME", lazyregexp.New(`^-std=[a-z0-9:]+$`)},
}

// otherKeys are the keys of the build file that say what people try to say with
// a flag.
var otherKeys = []struct{ prefix, key string }{
	{"-D", "defines"}, {"-I", "include"}, {"-mcpu", "cpu"},
}

var (
	define = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*(=[ -~]*)?$`)
	// cpus are the versions of the instruction set (kernel,
	// Documentation/bpf/standardization/instruction-set.rst; llvm,
	// lib/Target/BPF/BPF.td).
	cpus = []string{"v1", "v2", "v3", "v4"}
)

// specFlags are the compiler's arguments for a compile section.
func specFlags(folder string, spec schemas.Compile) ([]string, error) {
	var flags []string
	if spec.CPU != "" {
		if !slices.Contains(cpus, spec.CPU) {
			return nil, fmt.Errorf("%w: compile: cpu %q: want one of %s", build.ErrFile, spec.CPU, strings.Join(cpus, ", "))
		}
		flags = append(flags, "-mcpu="+spec.CPU)
	}
	for _, flag := range spec.Flags {
		if err := checkFlag(flag); err != nil {
			return nil, err
		}
		flags = append(flags, flag)
	}
	for _, d := range spec.Defines {
		if !define().MatchString(d) {
			return nil, fmt.Errorf("%w: compile: define %q: want NAME or NAME=VALUE in printable ASCII", build.ErrFile, d)
		}
		flags = append(flags, "-D"+d)
	}
	for _, dir := range spec.Include {
		if err := checkInclude(folder, dir); err != nil {
			return nil, err
		}
		flags = append(flags, "-I"+argument(dir))
	}
	return flags, nil
}

func checkFlag(flag string) error {
	var forms []string
	for _, row := range flagForms {
		if row.pattern().MatchString(flag) {
			return nil
		}
		forms = append(forms, row.form)
	}
	for _, row := range otherKeys {
		if strings.HasPrefix(flag, row.prefix) {
			return fmt.Errorf("%w: compile: flag %q: say it with the key %q", build.ErrFile, flag, row.key)
		}
	}
	return fmt.Errorf("%w: compile: flag %q is not allowed; these are: %s", build.ErrFile, flag, strings.Join(forms, "; "))
}

// checkInclude demands what clang silently ignores: that the folder is there.
func checkInclude(folder, dir string) error {
	for _, c := range []byte(dir) {
		if c < ' ' || c == 0x7f {
			return fmt.Errorf("%w: compile: include %q holds %q", build.ErrFile, dir, c)
		}
	}
	if !filepath.IsLocal(dir) {
		return fmt.Errorf("%w: compile: include %q is not below the folder", build.ErrFile, dir)
	}
	info, err := os.Stat(filepath.Join(folder, dir))
	if err != nil {
		return fmt.Errorf("%w: compile: include %q: %w", build.ErrFile, dir, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: compile: include %q is no folder", build.ErrFile, dir)
	}
	return nil
}
