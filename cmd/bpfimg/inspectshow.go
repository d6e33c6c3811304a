// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
)

func showInspection(term *terminal, r inspection) error {
	if r.Reference != "" {
		fmt.Fprintf(term.out, "image    %s\n", safe(r.Reference))
		showPlatforms(term, r)
		fmt.Fprintf(term.out, "digest   %s\nformat   %s\n", safe(r.Digest), safe(r.Format))
		for _, note := range r.Notes {
			fmt.Fprintf(term.out, "note     %s\n", safe(note))
		}
		fmt.Fprintln(term.out)
	}
	for i, o := range r.Objects {
		if i > 0 {
			fmt.Fprintln(term.out)
		}
		if err := showObject(term, o); err != nil {
			return err
		}
	}
	return showBTF(term, r.BTF)
}

// showPlatforms says which image of an index is shown, and what others there are.
func showPlatforms(term *terminal, r inspection) {
	if r.Index == "" {
		return
	}
	var others []string
	for _, p := range r.Platforms {
		if p.Digest != r.Digest {
			others = append(others, p.Platform)
		}
	}
	line := r.Platform
	if len(others) > 0 {
		line += " (also there: " + strings.Join(others, ", ") + ")"
	}
	fmt.Fprintf(term.out, "index    %s\nplatform %s\n", safe(r.Index), safe(line))
}

func showObject(term *terminal, o schemas.Object) error {
	fmt.Fprintf(term.out, "object   %s, %s, %s-endian%s\n", safe(o.File), sizeText(o.Size), safe(o.Endianness), archText(o.Arch))
	fmt.Fprintf(term.out, "digest   %s\n", safe(o.Digest))
	fmt.Fprintf(term.out, "license  %s\n", safe(o.License))
	fmt.Fprintf(term.out, "BTF      %s\n", btfText(o))
	fmt.Fprintf(term.out, "kernel   %s\n\n", safe(kernelText(o)))
	for i, t := range []struct {
		header []string
		rows   [][]string
	}{
		{[]string{"PROGRAM", "TYPE", "SECTION", "HOOK", "INSNS", "KERNEL", "HELPERS"}, inspectedPrograms(o)},
		{[]string{"MAP", "TYPE", "KEY", "VALUE", "MAX ENTRIES", "MEMORY"}, inspectedMaps(o)},
		{[]string{"VARIABLE", "TYPE", "DEFAULT"}, inspectedVariables(o)},
	} {
		if i > 0 && len(t.rows) == 0 {
			continue
		}
		if i > 0 {
			fmt.Fprintln(term.out)
		}
		if err := term.table(t.header, t.rows); err != nil {
			return err
		}
	}
	return nil
}

func inspectedPrograms(o schemas.Object) [][]string {
	var rows [][]string
	for _, p := range o.Programs {
		hook := schemas.Attachment{Hook: p.Hook, Target: p.Target, Options: p.Options}.String() // as --attach takes it
		kernel := p.MinKernel
		if p.Adaptive {
			kernel += " or older"
		}
		rows = append(rows, []string{p.Name, p.Type, p.Section, hook, strconv.Itoa(p.Instructions), kernel, strings.Join(p.Helpers, " ")})
	}
	return rows
}

func inspectedMaps(o schemas.Object) [][]string {
	var rows [][]string
	for _, m := range o.Maps {
		rows = append(rows, []string{
			m.Name, m.Type, sized(m.KeyType, m.KeySize), sized(m.ValueType, m.ValueSize),
			strconv.FormatUint(uint64(m.MaxEntries), 10), memoryText(m),
		})
	}
	return rows
}

func inspectedVariables(o schemas.Object) [][]string {
	var rows [][]string
	for _, v := range o.Variables {
		rows = append(rows, []string{v.Name, sized(v.Type, v.Size), defaultText(v)})
	}
	return rows
}

// kernelText is the oldest kernel, and what makes it that.
func kernelText(o schemas.Object) string {
	if o.MinKernel == "" {
		return "nothing known"
	}
	var because []string
	for _, p := range o.Programs {
		if p.MinKernel == o.MinKernel {
			because = append(because, p.NewestFeatures()...)
		}
	}
	slices.Sort(because)
	if because = slices.Compact(because); len(because) == 0 {
		because = []string{"maps"}
	}
	return fmt.Sprintf("needs Linux %s (%s)", o.MinKernel, strings.Join(because, ", "))
}

// memoryText is what a map takes at most.
func memoryText(m schemas.Map) string {
	switch {
	case m.Memory == 0:
		return ""
	case m.MemoryPerCPU == 0:
		return sizeText(int64(m.Memory))
	}
	return fmt.Sprintf("%s + %s/CPU", sizeText(int64(m.Memory)), sizeText(int64(m.MemoryPerCPU)))
}

// defaultText is what a variable holds before anyone sets it.
func defaultText(v schemas.Variable) string {
	switch {
	case v.Extern != "":
		return "from the kernel (" + v.Extern + ")"
	case v.Default != nil:
		return string(v.Default)
	}
	return ""
}

func archText(arch string) string {
	if arch == "" {
		return ""
	}
	return ", for " + safe(arch)
}

func btfText(o schemas.Object) string {
	switch {
	case o.BTF && o.CORE:
		return "yes, with CO-RE relocations"
	case o.BTF:
		return "yes, no CO-RE relocations"
	}
	return "no"
}

// sized is a C type with its size in bytes, or the size alone.
func sized(typ string, size uint32) string {
	if typ == "" {
		return fmt.Sprintf("%dB", size)
	}
	return fmt.Sprintf("%s (%dB)", typ, size)
}
