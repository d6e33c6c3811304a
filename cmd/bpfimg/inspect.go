// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func inspectCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show the programs and maps of an object file or an image",
		ArgsUsage: "FILE.o | REFERENCE",
		Flags:     []cli.Flag{platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()},
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() != 1 {
				return usagef("inspect: want one object file or image reference, got %d arguments", s.c.NArg())
			}
			return s.inspect(s.c.Args().First())
		}),
	}
}

// inspection is what `inspect -o json` prints.
type inspection struct {
	Reference string            `json:"reference,omitempty"`
	Digest    string            `json:"digest,omitempty"`
	Format    string            `json:"format,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Annotations of an artifact, which has no labels; those of an image repeat
	// its labels.
	Annotations map[string]string `json:"annotations,omitempty"`
	Objects     []schemas.Object  `json:"objects"`
	BTF         []inspectedBTF    `json:"btf,omitempty"`
}

func (s *session) inspect(arg string) error {
	var (
		result inspection
		err    error
	)
	if looksLikeFile(arg) {
		result, err = inspectFile(arg)
	} else {
		result, err = s.inspectImage(arg)
	}
	if err != nil {
		return err
	}
	return s.print(result, func() error { return showInspection(s.term, result) })
}

// looksLikeFile tells a file from a reference: it is there, or its spelling can
// only mean a file.
func looksLikeFile(arg string) bool {
	if _, err := os.Stat(arg); err == nil {
		return true
	}
	return strings.HasSuffix(arg, ".o") || strings.HasPrefix(arg, ".") || filepath.IsAbs(arg)
}

func inspectFile(path string) (inspection, error) {
	data, err := readLimited(path, inspect.MaxObject)
	if err != nil {
		return inspection{}, err
	}
	o, err := inspect.Object(filepath.Base(path), data)
	if err != nil {
		return inspection{}, fmt.Errorf("inspecting %s: %w", path, err)
	}
	return inspection{Objects: []schemas.Object{o}}, nil
}

// inspectImage looks into the local store first, then asks the registry. What
// it shows is read from the objects themselves; labels are shown as such.
func (s *session) inspectImage(arg string) (inspection, error) {
	ref, err := parseReference(arg)
	if err != nil {
		return inspection{}, err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	opts := pull.Options{Platform: s.c.String("platform"), SkipCandidates: true}
	store, err := s.store()
	if err != nil {
		return inspection{}, err
	}
	img, err := pull.Fetch(ctx, store, ref, opts)
	if errors.Is(err, image.ErrNotFound) {
		var registry *image.Registry
		if registry, err = s.registry(nil); err != nil {
			return inspection{}, err
		}
		img, err = pull.Fetch(ctx, registry, ref, opts)
	}
	if err != nil {
		return inspection{}, fmt.Errorf("inspecting %s: %w", ref, err)
	}
	result := inspection{
		Reference: ref.String(), Digest: img.Manifest.Descriptor.Digest.String(),
		Format: string(img.Format), Labels: img.Labels,
	}
	if img.Format == pull.FormatArtifact {
		result.Annotations = img.Annotations
	}
	for _, file := range img.Objects {
		o, err := inspect.Object(file.File, file.Bytes)
		if err != nil {
			return result, fmt.Errorf("inspecting %s: object %q: %w", ref, file.File, err)
		}
		result.Objects = append(result.Objects, o)
	}
	result.BTF = inspectBTF(img.BTF)
	return result, nil
}

func showInspection(term *terminal, r inspection) error {
	if r.Reference != "" {
		fmt.Fprintf(term.out, "image    %s\ndigest   %s\nformat   %s\n\n", safe(r.Reference), safe(r.Digest), safe(r.Format))
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

func showObject(term *terminal, o schemas.Object) error {
	fmt.Fprintf(term.out, "object   %s, %s, %s-endian%s\n", safe(o.File), sizeText(o.Size), safe(o.Endianness), archText(o.Arch))
	fmt.Fprintf(term.out, "digest   %s\n", safe(o.Digest))
	fmt.Fprintf(term.out, "license  %s\n", safe(o.License))
	fmt.Fprintf(term.out, "BTF      %s\n\n", btfText(o))
	var rows [][]string
	for _, p := range o.Programs {
		hook := p.Hook
		if p.Target != "" {
			hook += ":" + p.Target
		}
		rows = append(rows, []string{p.Name, p.Type, p.Section, hook, strconv.Itoa(p.Instructions), strings.Join(p.Helpers, " ")})
	}
	if err := term.table([]string{"PROGRAM", "TYPE", "SECTION", "HOOK", "INSNS", "HELPERS"}, rows); err != nil {
		return err
	}
	if len(o.Maps) == 0 {
		return nil
	}
	fmt.Fprintln(term.out)
	rows = nil
	for _, m := range o.Maps {
		rows = append(rows, []string{m.Name, m.Type, sized(m.KeyType, m.KeySize), sized(m.ValueType, m.ValueSize), strconv.FormatUint(uint64(m.MaxEntries), 10)})
	}
	return term.table([]string{"MAP", "TYPE", "KEY", "VALUE", "MAX ENTRIES"}, rows)
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
