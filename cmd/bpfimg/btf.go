// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/build/btfgen"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/urfave/cli/v2"
)

// btfFlag names it as libbpf's option does (btf_custom_path).
func btfFlag() cli.Flag {
	return &cli.StringFlag{Name: "btf", Usage: "`FILE` with the kernel's types, instead of its own or the image's"}
}

// kernelBTF reads the file of --btf; nil without.
func (s *session) kernelBTF() ([]byte, error) {
	path := s.c.String("btf")
	if path == "" {
		return nil, nil
	}
	return limited.ReadFile(path, btfgen.MaxKernelBTF)
}

// btfArchiveFlag is that of build.
func btfArchiveFlag() cli.Flag {
	return &cli.StringFlag{Name: "btf-archive", Usage: "`DIR` with RELEASE.btf or RELEASE.btf.tar.xz of kernels that lack BTF, such as BTFHub's"}
}

// noticeBTF says what became of --btf-archive, of the image that prefix names.
func (s *session) noticeBTF(prefix string, result build.Result) {
	if s.c.String("btf-archive") == "" {
		return
	}
	kernels := 0
	for _, b := range result.BTF {
		kernels += len(b.Kernels)
	}
	if kernels == 0 {
		s.term.notice("%sthe objects ask for no types of the kernel: nothing of the BTF archive is needed", prefix)
		return
	}
	s.term.notice("%stypes for %s in %s", prefix, counted(kernels, "kernel"), counted(len(result.BTF), "layer"))
}

// inspectedBTF is one BTF layer as `inspect -o json` prints it.
type inspectedBTF struct {
	Arch    string   `json:"arch"`
	Kernels []string `json:"kernels"`
	Digest  string   `json:"digest"`
	Size    int      `json:"size"`
}

func inspectBTF(layers []pull.BTF) []inspectedBTF {
	var out []inspectedBTF
	for _, b := range layers {
		out = append(out, inspectedBTF{Arch: b.Arch, Kernels: b.Kernels, Digest: b.Digest, Size: len(b.Bytes)})
	}
	return out
}

// shownKernels is how many of a layer's kernels are listed in text.
const shownKernels = 4

// showBTF lists the layers below the objects.
func showBTF(term *terminal, layers []inspectedBTF) error {
	if len(layers) == 0 {
		return nil
	}
	var rows [][]string
	for _, b := range layers {
		names := strings.Join(b.Kernels[:min(len(b.Kernels), shownKernels)], " ")
		if more := len(b.Kernels) - shownKernels; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		rows = append(rows, []string{b.Arch, sizeText(int64(b.Size)), names})
	}
	if _, err := fmt.Fprintln(term.out); err != nil {
		return err
	}
	return term.table([]string{"BTF FOR", "SIZE", "KERNELS"}, rows)
}

// counted is a number and what it counts.
func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
