// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package kconfig gives `extern … __kconfig` variables of a BPF object the values
// of a kernel: its configuration, its version, and what it can do. It reads a
// configuration and asks the [Kernel] it is given; nothing else.
//
// Door: [Resolve].
package kconfig

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/internal/btfvalue"
)

// Names that are no options, which libbpf made up (bpf_helpers.h, libbpf.c).
const (
	nameVersion = "LINUX_KERNEL_VERSION"
	nameWrapper = "LINUX_HAS_SYSCALL_WRAPPER"
	nameCookie  = "LINUX_HAS_BPF_COOKIE"
)

// maxConfig bounds a configuration, unpacked; Debian's have some 300 KiB.
const maxConfig = 8 << 20

// Kernel is what is asked, and only when a variable needs it.
type Kernel struct {
	// Config opens the configuration, in the form of .config, packed with gzip or
	// not.
	Config func() (io.ReadCloser, error)
	// Version is LINUX_VERSION_CODE.
	Version func() (uint32, error)
	// SyscallWrapper says whether system calls are functions of one struct pt_regs
	// argument with the architecture in their names, and Cookie whether programs
	// can ask for the cookie of their attachment.
	SyscallWrapper, Cookie func() (bool, error)
}

// MissingError says that an option a program needs is not set.
type MissingError struct {
	// Option is its name ("CONFIG_HZ").
	Option string
}

// Error names the option.
func (e *MissingError) Error() string {
	return fmt.Sprintf("the kernel option %s is not set", e.Option)
}

// Resolve makes the content of a section of variables. Those in weak that the
// kernel does not have are 0; any other is a [MissingError].
func Resolve(section *btf.Datasec, weak map[string]bool, k Kernel) ([]byte, error) {
	data := make([]byte, section.Size)
	options, err := k.options(section)
	if err != nil {
		return nil, err
	}
	for _, v := range section.Vars {
		variable, ok := v.Type.(*btf.Var)
		if !ok || uint64(v.Offset)+uint64(v.Size) > uint64(len(data)) {
			return nil, fmt.Errorf("%s: a variable is not inside it", section.Name)
		}
		text, err := k.value(variable.Name, options)
		if err != nil {
			return nil, err
		}
		if text == "" {
			if !weak[variable.Name] {
				return nil, &MissingError{Option: variable.Name}
			}
			continue
		}
		field := data[v.Offset : v.Offset+v.Size]
		value, err := encode(variable.Type, text, field)
		if err != nil {
			return nil, fmt.Errorf("%s is %s in this kernel, which does not fit its variable: %w", variable.Name, text, err)
		}
		copy(field, value)
	}
	return data, nil
}

// value is the text of one variable as in a configuration, "" when the kernel has
// none.
func (k Kernel) value(name string, options map[string]string) (string, error) {
	switch name {
	case nameVersion:
		n, err := k.Version()
		if err != nil {
			return "", fmt.Errorf("asking for the kernel's version: %w", err)
		}
		return strconv.FormatUint(uint64(n), 10), nil
	case nameWrapper:
		return yesNo(name, k.SyscallWrapper)
	case nameCookie:
		return yesNo(name, k.Cookie)
	}
	return options[name], nil
}

func yesNo(name string, ask func() (bool, error)) (string, error) {
	has, err := ask()
	if err != nil {
		return "", fmt.Errorf("finding out %s: %w", name, err)
	}
	if has {
		return "y", nil
	}
	return "n", nil
}

// options reads those that the section asks for; none without reading when it
// asks for none.
func (k Kernel) options(section *btf.Datasec) (map[string]string, error) {
	wanted := map[string]bool{}
	for _, v := range section.Vars {
		if name := v.Type.TypeName(); strings.HasPrefix(name, "CONFIG_") {
			wanted[name] = true
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	f, err := k.Config()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	options, err := parse(f, wanted)
	if err != nil {
		return nil, fmt.Errorf("reading the kernel's configuration: %w", err)
	}
	return options, nil
}

// parse reads the lines NAME=VALUE of a configuration whose names are wanted.
func parse(r io.Reader, wanted map[string]bool) (map[string]string, error) {
	buffered := bufio.NewReader(r)
	r = buffered
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		packed, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		r = packed
	}
	limited := &io.LimitedReader{R: r, N: maxConfig}
	out := map[string]string{}
	lines := bufio.NewScanner(limited)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok && wanted[name] {
			out[name] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("it has more than %d bytes", maxConfig)
	}
	return out, nil
}

var errType = errors.New("want bool, char or enum libbpf_tristate for y, n and m, an integer for a number, char[] for text")

// encode writes a value of a configuration as libbpf does (set_kcfg_value_* in
// libbpf.c): y, n and m as bool, char or tristate; text cut to what there is room for.
func encode(t btf.Type, text string, current []byte) ([]byte, error) {
	fail := func() error { return fmt.Errorf("a %s: %w", btfvalue.CType(t), errType) }
	switch {
	case text == "y" || text == "n" || text == "m":
		if e, ok := btf.As[*btf.Enum](t); ok && e.Name == "libbpf_tristate" {
			return btfvalue.Encode(t, map[string]string{"n": "0", "y": "1", "m": "2"}[text], current, binary.NativeEndian)
		}
		i, ok := btf.As[*btf.Int](t)
		switch {
		case ok && i.Encoding == btf.Bool && text != "m":
			return btfvalue.Encode(t, map[string]string{"n": "0", "y": "1"}[text], current, binary.NativeEndian)
		case ok && i.Size == 1 && i.Encoding != btf.Bool:
			return []byte(text), nil
		}
		return nil, fail()
	case strings.HasPrefix(text, `"`):
		a, ok := btf.As[*btf.Array](t)
		if !ok || a.Nelems == 0 || len(current) != int(a.Nelems) {
			return nil, fail()
		}
		out := make([]byte, len(current))
		copy(out[:len(out)-1], unquote(text))
		return out, nil
	}
	if i, ok := btf.As[*btf.Int](t); !ok || i.Encoding == btf.Bool && text != "0" && text != "1" {
		return nil, fail()
	}
	return btfvalue.Encode(t, text, current, binary.NativeEndian)
}

// unquote takes the quotes away, and the backslashes that Kconfig puts before
// quotes and backslashes.
func unquote(text string) string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, `"`), `"`)
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(text)
}
