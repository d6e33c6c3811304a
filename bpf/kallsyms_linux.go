// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// haveKernelFunction looks name up in the kernel's symbol table, also as the
// architecture spells system calls ("__x64_sys_…"), which the loader tries too.
func haveKernelFunction(name string) (bool, error) {
	isSyscall := strings.HasPrefix(name, "sys_")
	found := false
	err := kernelFunctions(func(symbol string) bool {
		found = symbol == name || (isSyscall && strings.HasPrefix(symbol, "__") && strings.HasSuffix(symbol, "_"+name))
		return !found
	})
	return found, err
}

// haveSymbol looks up a function by exactly its name.
func haveSymbol(name string) (bool, error) {
	found := false
	err := kernelFunctions(func(symbol string) bool {
		found = symbol == name
		return !found
	})
	return found, err
}

// kernelFunctions calls yield for each function of the kernel and its modules,
// until it returns false.
func kernelFunctions(yield func(symbol string) bool) error {
	return kernelSymbols(func(symbol, _ string) bool { return yield(symbol) })
}

// kernelSymbols is kernelFunctions with the module a function is in, "" for the
// kernel itself.
func kernelSymbols(yield func(symbol, module string) bool) error {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return fmt.Errorf("reading the kernel's symbols: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// address type name [module]
		_, rest, _ := strings.Cut(lines.Text(), " ")
		kind, symbol, _ := strings.Cut(rest, " ")
		symbol, module, _ := strings.Cut(symbol, "\t")
		isFunction := strings.EqualFold(kind, "t") || strings.EqualFold(kind, "w")
		if isFunction && !yield(symbol, strings.Trim(module, "[]")) {
			return nil
		}
	}
	return lines.Err()
}
