// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sbom

import (
	"fmt"
	"path"
	"strings"

	"github.com/bpfimg/bpfimg/build/compile"
)

// sources writes what the objects were compiled from.
func (w *writer) sources() {
	if w.in.Report == nil {
		return
	}
	for _, o := range w.in.Report.Objects {
		object, ok := w.ids["object "+o.Platform+" "+o.Name]
		for _, f := range o.Files {
			id := w.source(f)
			if ok {
				w.relate(object, "GENERATED_FROM", id)
			}
		}
	}
}

// source writes a file the compiler read, once.
func (w *writer) source(f compile.File) string {
	key := "source " + f.Path + " " + f.Digest
	if id, ok := w.ids[key]; ok {
		return id
	}
	id := fmt.Sprintf("SPDXRef-Source-%d", len(w.doc.Files)+1)
	w.ids[key] = id
	w.doc.Files = append(w.doc.Files, newFile(id, f.Path, f.Digest, f.SHA1, "SOURCE"))
	if isLibbpf(f.Path) {
		w.relate(w.libbpf(), "CONTAINS", id)
	}
	return id
}

// isLibbpf: libbpf installs its headers in a folder bpf. Those for programs, whose
// code ends up in objects, are named bpf_*.h, except usdt.bpf.h (libbpf,
// src/Makefile, SRC_HDRS).
func isLibbpf(file string) bool {
	name := path.Base(file)
	return path.Base(path.Dir(file)) == "bpf" && (strings.HasPrefix(name, "bpf_") || name == "usdt.bpf.h")
}

// libbpf returns the package of libbpf's headers. Which version they are of is
// nowhere in them; their digests say it.
func (w *writer) libbpf() string {
	const id = "SPDXRef-libbpf"
	if _, ok := w.ids[id]; ok {
		return id
	}
	w.ids[id] = id
	p := newPackage(id, "libbpf")
	// The line "SPDX-License-Identifier" of each of these headers.
	p.Declared, p.Purpose = "LGPL-2.1-only OR BSD-2-Clause", "LIBRARY"
	p.Comment = "headers whose inline functions are compiled into the objects"
	w.doc.Packages = append(w.doc.Packages, p)
	return id
}
