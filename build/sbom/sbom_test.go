// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sbom

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

const (
	sumA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	sumC = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	sumD = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
	weak = "1111111111111111111111111111111111111111"
)

func object(name, digest string) schemas.Object {
	return schemas.Object{
		File: name, Digest: digest, Endianness: "little", License: "Dual BSD/GPL", BTF: true, CORE: true, Compiler: "clang version 19.1.7",
		Programs: []schemas.Program{{Name: "p"}}, Maps: []schemas.Map{{Name: "a"}, {Name: "b"}},
	}
}

// inputs are a plain image and a compiled index.
func inputs() map[string]Input {
	created := time.Date(2026, 11, 21, 19, 0, 0, 0, time.FixedZone("x", 3600))
	source, header := compile.File{Path: "counter.bpf.c", Digest: sumC, SHA1: weak}, compile.File{Path: "/usr/include/bpf/bpf_helpers.h", Digest: sumD, SHA1: weak}
	compiled := func(platform string) compile.Object {
		return compile.Object{Platform: platform, Name: "counter.bpf.o", Source: "counter.bpf.c", Files: []compile.File{source, header}}
	}
	return map[string]Input{
		"image": {
			Name: "reg.example/net/counter", Digest: sumA, Version: "1.2.3", Licenses: "GPL-2.0-only OR BSD-2-Clause", Tool: "bpfimg-v1.2.3", Created: created,
			Images: []Image{{Digest: sumA, Objects: []schemas.Object{object("counter.bpf.o", sumB)}, SHA1: map[string]string{sumB: weak}}},
		},
		"index": {
			Name: "reg.example/counter", Digest: sumA, Licenses: "free\nbeer", Tool: "bpfimg-v1.2.3", Created: created,
			Images: []Image{
				{Platform: "linux/amd64", Digest: sumB, Objects: []schemas.Object{object("counter.bpf.o", sumC)}, SHA1: map[string]string{sumC: weak}},
				{Platform: "linux/arm64", Digest: sumD, Objects: []schemas.Object{object("counter.bpf.o", sumC)}, SHA1: map[string]string{sumC: weak}},
			},
			Report: &compile.Report{Objects: []compile.Object{compiled("linux/amd64"), compiled("linux/arm64")}},
		},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, in := range inputs() {
		t.Run(name, func(t *testing.T) {
			got, err := Document(in)
			if err != nil {
				t.Fatal(err)
			}
			var shown bytes.Buffer
			if err := json.Indent(&shown, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			shown.WriteByte('\n')
			path := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(path, shown.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), shown.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, err := Document(in)
			if err != nil || !bytes.Equal(again, got) {
				t.Error("the same input gave other bytes")
			}
		})
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	for name, in := range inputs() {
		t.Run(name, func(t *testing.T) {
			data, err := Document(in)
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]any
			if err := json.Unmarshal(data, &doc); err != nil {
				t.Fatal(err)
			}
			checkReferences(t, doc)
		})
	}
}

// identifier is the form of SPDX identifiers.
var identifier = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)

// checkReferences: identifiers are unique, and everything that refers to one
// finds it.
func checkReferences(t *testing.T, doc map[string]any) {
	ids := []string{"SPDXRef-DOCUMENT"}
	licenses := []string{"NOASSERTION"}
	list := func(key string) (all []map[string]any) {
		entries, _ := doc[key].([]any)
		for _, e := range entries {
			all = append(all, e.(map[string]any))
		}
		return all
	}
	for _, e := range append(list("packages"), list("files")...) {
		id := e["SPDXID"].(string)
		if !identifier.MatchString(id) || slices.Contains(ids, id) {
			t.Errorf("identifier %q is wrong or there twice", id)
		}
		ids = append(ids, id)
	}
	for _, e := range list("hasExtractedLicensingInfos") {
		licenses = append(licenses, e["licenseId"].(string))
	}
	for _, f := range list("files") {
		for _, l := range f["licenseInfoInFiles"].([]any) {
			if !slices.Contains(licenses, l.(string)) {
				t.Errorf("file %v has the license %v, which nothing explains", f["fileName"], l)
			}
		}
	}
	analyzed := map[any]bool{}
	for _, p := range list("packages") {
		analyzed[p["SPDXID"]] = p["filesAnalyzed"].(bool)
		if _, code := p["packageVerificationCode"]; code != p["filesAnalyzed"].(bool) {
			t.Errorf("package %v: verification code %t, files analysed %v", p["SPDXID"], code, p["filesAnalyzed"])
		}
	}
	for _, r := range list("relationships") {
		isFile := slices.ContainsFunc(list("files"), func(f map[string]any) bool { return f["SPDXID"] == r["relatedSpdxElement"] })
		if isFile && r["relationshipType"] == "CONTAINS" && !analyzed[r["spdxElementId"]] {
			t.Errorf("package %v contains files, which are not analysed", r["spdxElementId"])
		}
	}
	describes := 0
	for _, r := range list("relationships") {
		if !slices.Contains(ids, r["spdxElementId"].(string)) || !slices.Contains(ids, r["relatedSpdxElement"].(string)) {
			t.Errorf("relation %v between what is not there", r)
		}
		if r["relationshipType"] == "DESCRIBES" {
			describes++
		}
	}
	if describes != 1 {
		t.Errorf("describes %d things, want one", describes)
	}
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	for _, in := range []Input{{Name: "x"}, {Digest: sumA}, {Name: "x", Digest: "aaaa"}} {
		if _, err := Document(in); err == nil {
			t.Errorf("%+v made a document", in)
		}
	}
}
