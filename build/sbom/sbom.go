// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package sbom lists what an image consists of, as an SPDX 2.3 document in JSON
// (spdx.github.io/spdx-spec/v2.3): its objects, their licenses, what they were
// compiled from and with, and which of that is libbpf's.
//
// Door: [Document].
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/schemas"
)

// Input is what is known of an image. The same input gives the same bytes.
type Input struct {
	// Name of the image without tag or digest, Digest its "sha256:…": of the
	// index, if there are several platforms.
	Name, Digest string
	// Version and Licenses (an SPDX expression) of the build file; may be empty.
	Version, Licenses string
	// Images of the platforms; one with the same Digest when there is no index.
	Images []Image
	// Report says how the objects were compiled; nil when they were given.
	Report *compile.Report
	// Tool wrote the document, such as "bpfimg-1.2.0", at the time Created.
	Tool    string
	Created time.Time
}

// Image is that of one platform.
type Image struct {
	// Platform, such as "linux/arm64"; may be empty when there is one image.
	Platform string
	// Digest "sha256:…" of its manifest.
	Digest string
	// Objects in it. SHA1 has the SHA-1 of each by its Digest, in hex: SPDX
	// wants one of every file.
	Objects []schemas.Object
	SHA1    map[string]string
}

// noAssertion is SPDX for "we do not say".
const noAssertion = "NOASSERTION"

// Document returns the SPDX document of an image as JSON.
func Document(in Input) ([]byte, error) {
	_, encoded, ok := strings.Cut(in.Digest, ":")
	if !ok || in.Name == "" {
		return nil, fmt.Errorf("an SPDX document needs the name and the digest of the image, got %q and %q", in.Name, in.Digest)
	}
	w := &writer{in: in, ids: map[string]string{}, doc: document{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: documentID,
		Name:     in.Name + "@" + in.Digest,
		Created:  creation{Created: in.Created.UTC().Format(time.RFC3339), Creators: []string{"Tool: " + in.Tool}},
		Packages: []pkg{}, Relations: []relation{},
	}}
	w.images()
	w.sources()
	w.sealPackages()
	// No two documents may have one namespace, and the same bytes must come out
	// again: the rest of the document names it.
	rest, err := w.encode()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(rest)
	w.doc.Namespace = "https://github.com/bpfimg/bpfimg/spdx/" + encoded + "/" + hex.EncodeToString(sum[:16])
	return w.encode()
}

// writer fills in a document.
type writer struct {
	in  Input
	doc document
	ids map[string]string // of what may come up again, by kind and name
}

func (w *writer) encode() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(w.doc); err != nil {
		return nil, fmt.Errorf("encoding the SPDX document: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// images writes the image or the index, and everything in it.
func (w *writer) images() {
	single := len(w.in.Images) == 1 && w.in.Images[0].Digest == w.in.Digest
	if !single {
		w.image("SPDXRef-Index", w.in.Digest)
		w.relate(documentID, "DESCRIBES", "SPDXRef-Index")
	}
	for i, im := range w.in.Images {
		id := "SPDXRef-Image"
		if im.Platform != "" {
			id += "-" + idText(im.Platform)
		}
		w.image(id, im.Digest)
		if single {
			w.relate(documentID, "DESCRIBES", id)
		} else {
			w.relate("SPDXRef-Index", "CONTAINS", id)
		}
		for j, o := range im.Objects {
			file := fmt.Sprintf("SPDXRef-Object-%d-%d", i+1, j+1)
			w.object(file, o, im.SHA1[o.Digest])
			w.relate(id, "CONTAINS", file)
			w.ids["object "+im.Platform+" "+o.File] = file
			// An object that was stripped does not name its compiler any more.
			version := o.Compiler
			if version == "" && w.in.Report != nil {
				version = w.in.Report.Clang.Version
			}
			if version != "" {
				w.relate(w.compiler(version), "BUILD_TOOL_OF", file)
			}
		}
	}
}

// expression is what the letters of an SPDX license expression are; anything
// else would make the document invalid.
var expression = regexp.MustCompile(`^[A-Za-z0-9.+()-]+( [A-Za-z0-9.+()-]+)*$`)

func (w *writer) image(id, digest string) {
	p := newPackage(id, w.in.Name)
	p.Version, p.Purpose = w.in.Version, "CONTAINER"
	if expression.MatchString(w.in.Licenses) {
		p.Declared = w.in.Licenses
	}
	p.Checksums = checksums(digest, "")
	host, path, _ := strings.Cut(w.in.Name, "/")
	base := path[strings.LastIndex(path, "/")+1:]
	p.Refs = []external{{
		Category: "PACKAGE-MANAGER", Type: "purl",
		// purl-spec, "oci": the digest is the version, its colon escaped.
		Locator: "pkg:oci/" + base + "@" + strings.Replace(digest, ":", "%3A", 1) + "?repository_url=" + host + "/" + path,
	}}
	w.doc.Packages = append(w.doc.Packages, p)
}

// object writes a compiled object.
func (w *writer) object(id string, o schemas.Object, sha1 string) {
	f := newFile(id, o.File, o.Digest, sha1, "BINARY")
	f.Comment = fmt.Sprintf("BPF object, %s endian; type information (BTF): %t; relocations against kernel types (CO-RE): %t; programs: %d; maps: %d",
		o.Endianness, o.BTF, o.CORE, len(o.Programs), len(o.Maps))
	if o.License != "" {
		f.Licenses = []string{w.kernelLicense(o.License)}
	}
	w.doc.Files = append(w.doc.Files, f)
}

// kernelLicense returns a reference to what an object tells the kernel of its
// license. "GPL" there does not say which version (include/linux/module.h), so
// no identifier of SPDX's own list means the same.
func (w *writer) kernelLicense(text string) string {
	if id, ok := w.ids["license "+text]; ok {
		return id
	}
	id := fmt.Sprintf("LicenseRef-kernel-%d", len(w.doc.Licenses)+1)
	w.ids["license "+text] = id
	w.doc.Licenses = append(w.doc.Licenses, license{ID: id, Name: text, Text: "The section \"license\" of the object says: " + text})
	return id
}

// compiler returns the package of a compiler, by what it says of itself.
func (w *writer) compiler(version string) string {
	if id, ok := w.ids["compiler "+version]; ok {
		return id
	}
	id := fmt.Sprintf("SPDXRef-Compiler-%d", len(w.ids)+1)
	w.ids["compiler "+version] = id
	name := "compiler"
	if strings.Contains(version, "clang") {
		name = "clang"
	}
	p := newPackage(id, name)
	p.Version, p.Purpose = version, "APPLICATION"
	w.doc.Packages = append(w.doc.Packages, p)
	return id
}
