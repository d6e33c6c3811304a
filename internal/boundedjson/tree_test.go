// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package boundedjson_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayDecodeItself lists the folders and files that decode JSON, or YAML, by something
// else than this package, and why a document cannot cost too much there.
var mayDecodeItself = map[string]string{
	"internal/boundedjson":        "it is the one that counts first",
	"internal/btfvalue/json.go":   "a value that somebody types, from the command line",
	"cmd/bpfimg/diffshow.go":      "what this process has encoded itself",
	"bpf/vmtest":                  "tests only: what bpfimg, or the other side of the test, has written",
	"verify/verifytest":           "tests only: bundles that it made itself",
	"verify/bundle.go":            "countParts bounds what a bundle has before protojson sees it",
	"verify/statement.go":         "boundedjson.Check counts the predicate before protojson sees it",
	"verify/trustedroot.go":       "boundedjson.Check counts it before protojson sees it",
	"verify/policy.go":            "YAML, of at most MaxPolicy bytes, which the node's administrator writes",
	"schemas/document":            "YAML, which the callers bound in bytes; of files that people write for themselves",
	"sign/services.go":            "a signing config, of at most MaxSigningConfig bytes, which who signs names",
	"sign/trustroot/trustroot.go": "a trusted root that TUF's signatures are good for, of at most MaxFile bytes",
	"cmd/bpfimg/signer.go":        "a trusted root, of at most maxTrustedRoot bytes, which who signs names",
}

// decoders are what decodes a document, by the package it is of; "" is for methods
// and functions whose package is not looked at.
var decoders = map[string][]string{
	"encoding/json": {"Unmarshal", "NewDecoder"},
	"":              {"UnmarshalJSON", "UnmarshalJSONFrom"},
}

// decodes says whether any package of the path decodes by whatever it has.
func decodes(imported string) bool {
	for _, p := range []string{"encoding/json/", "google.golang.org/protobuf/encoding/protojson", "github.com/go-json-experiment/"} {
		if strings.HasPrefix(imported, p) {
			return true
		}
	}
	return strings.Contains(imported, "yaml") || strings.Contains(imported, "json-iterator")
}

// TestNobodyElseDecodes looks for everything that decodes documents in all code but
// that of tests. A document that others wrote costs memory there before anything has
// counted what is in it.
func TestNobodyElseDecodes(t *testing.T) {
	root := os.DirFS("../..")
	used, files := map[string]bool{}, 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		files++
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		for _, found := range decodings(t, name, src) {
			if place := exempt(name); place != "" {
				used[place] = true
			} else {
				t.Errorf("%s: use boundedjson, which counts what is in a document first", found)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 400 {
		t.Errorf("only %d files were read: this is not the whole tree", files)
	}
	for place := range mayDecodeItself {
		if !used[place] {
			t.Errorf("%s decodes nothing any more: take it off the list", place)
		}
	}
}

// exempt is the entry of mayDecodeItself that covers the file, or "".
func exempt(name string) string {
	for ; name != "."; name = path.Dir(name) {
		if _, ok := mayDecodeItself[name]; ok {
			return name
		}
	}
	return ""
}

// decodings are the positions and names of decoders in a file, called or not,
// whatever name the file imports their packages as. A method that is declared is
// none.
func decodings(t *testing.T, name string, src []byte) (all []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	local := map[string]string{} // path of the package by its name here
	for _, i := range file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		base := strings.TrimSuffix(p, "/"+path.Base(p)) // of a path that ends with a version
		if base = path.Base(base); path.Base(p) != "v2" && path.Base(p) != "v3" {
			base = path.Base(p)
		}
		if i.Name != nil {
			base = i.Name.Name
		}
		local[base] = p
	}
	isDecoder := func(imported, selected string) bool {
		return slices.Contains(decoders[imported], selected) ||
			decodes(imported) && (strings.HasPrefix(selected, "Unmarshal") || strings.HasPrefix(selected, "NewDecoder") || selected == "Decode")
	}
	ast.Inspect(file, func(n ast.Node) bool {
		found := ""
		switch n := n.(type) {
		case *ast.SelectorExpr:
			imported := "" // a method
			if x, ok := n.X.(*ast.Ident); ok {
				imported = local[x.Name]
			}
			foreign := strings.Contains(imported, "sigstore") && (strings.HasSuffix(n.Sel.Name, "FromJSON") || n.Sel.Name == "NewTrustedRootProtobuf")
			if isDecoder(imported, n.Sel.Name) || slices.Contains(decoders[""], n.Sel.Name) || foreign {
				found = n.Sel.Name
			}
		case *ast.Ident:
			if dot := local["."]; dot != "" && isDecoder(dot, n.Name) {
				found = n.Name
			}
		}
		if found != "" {
			all = append(all, set.Position(n.Pos()).String()+": "+found)
		}
		return true
	})
	return all
}

func TestDecodersAreFound(t *testing.T) {
	for _, tt := range []struct {
		name, imported, body string
		want                 int
	}{
		{"none", `"encoding/json"`, "var x, y = json.Marshal(`json.Unmarshal(`) // json.Unmarshal", 0},
		{"called", `"encoding/json"`, "var x = json.Unmarshal(nil, nil)", 1},
		{"not called", `"encoding/json"`, "var x, y = json.Unmarshal, json.NewDecoder", 2},
		{"in an argument", `"encoding/json"`, "var x = f(json.NewDecoder(r).Decode(&v))", 1},
		{"renamed", `std "encoding/json"`, "var x = std.Unmarshal", 1},
		{"without a name", `. "encoding/json"`, "var x = Unmarshal(nil, nil)", 1},
		{"version 2", `"encoding/json/v2"`, "var x, y = json.UnmarshalRead, json.Marshal", 1},
		{"its tokens", `"encoding/json/jsontext"`, "var x = jsontext.NewDecoder(r)", 1},
		{"protojson", `"google.golang.org/protobuf/encoding/protojson"`, "var x = protojson.UnmarshalOptions{}", 1},
		{"YAML", `"go.yaml.in/yaml/v3"`, "var x, y = yaml.Unmarshal, yaml.NewDecoder", 2},
		{"YAML as JSON", `"sigs.k8s.io/yaml"`, "var x = yaml.UnmarshalStrict", 1},
		{"a method", `"errors"`, "var x = body.UnmarshalJSON(data)", 1},
		{"a root", `"github.com/sigstore/sigstore-go/pkg/root"`, "var x = root.NewTrustedRootFromJSON(data)", 1},
		{"of this package", `"x/boundedjson"`, "var x = boundedjson.Unmarshal(nil, nil)", 0},
		{"a type's own", `"errors"`, "func (t T) UnmarshalJSON([]byte) error { return nil }", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := "package p\nimport " + tt.imported + "\n" + tt.body + "\n"
			if got := decodings(t, "p.go", []byte(src)); len(got) != tt.want {
				t.Errorf("got %v, want %d", got, tt.want)
			}
		})
	}
}
