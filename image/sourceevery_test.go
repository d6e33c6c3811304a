// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sourceTypes is what the files of the module say about their types.
type sourceTypes struct {
	// implements are the types, as "package.Type", that are an [image.Source],
	// interfaces too.
	implements map[string]bool
	// embeds are the types that a struct or an interface embeds.
	embeds map[string][]string
	// interfaces are the types that are one.
	interfaces map[string]bool
}

// TestEverySourceIsHeldToTheContract finds the types of the whole module that are an
// [image.Source], because they have its methods or embed one that has, and wants each
// of them in the table of [TestSourceContract].
func TestEverySourceIsHeldToTheContract(t *testing.T) {
	t.Parallel()
	found := findSources(t, "..")
	var want []string
	for name := range found.implements {
		if !found.interfaces[name] {
			want = append(want, "*"+name)
		}
	}
	if len(want) < 9 {
		t.Errorf("only %d types were found, %v: this test sees nothing", len(want), want)
	}
	covered := map[string]bool{}
	for _, p := range places {
		covered[p.typ] = true
	}
	for _, name := range want {
		if !covered[name] {
			t.Errorf("%s is an image.Source and not in the table of TestSourceContract", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(covered)) {
		if !slices.Contains(want, name) {
			t.Errorf("%s is in the table of TestSourceContract and no type of the module", name)
		}
	}
}

// findSources reads the module's Go files below root, tests apart.
func findSources(t *testing.T, root string) *sourceTypes {
	t.Helper()
	s := &sourceTypes{implements: map[string]bool{"image.Source": true}, embeds: map[string][]string{}, interfaces: map[string]bool{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			s.add(file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		more = false
		for name, parts := range s.embeds {
			if !s.implements[name] && slices.ContainsFunc(parts, func(part string) bool { return s.implements[part] }) {
				s.implements[name], more = true, true
			}
		}
	}
	return s
}

// add notes the types of one file. A method Referrers with two parameters and two
// results is Source's: no other interface of the module has one.
func (s *sourceTypes) add(file *ast.File) {
	pkg := file.Name.Name
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv != nil && n.Name.Name == "Referrers" && n.Type.Params.NumFields() == 2 && n.Type.Results.NumFields() == 2 {
				s.implements[typeName(pkg, n.Recv.List[0].Type)] = true
			}
		case *ast.TypeSpec:
			var fields *ast.FieldList
			switch typ := n.Type.(type) {
			case *ast.StructType:
				fields = typ.Fields
			case *ast.InterfaceType:
				fields, s.interfaces[pkg+"."+n.Name.Name] = typ.Methods, true
			default:
				return true
			}
			for _, field := range fields.List {
				if len(field.Names) == 0 {
					s.embeds[pkg+"."+n.Name.Name] = append(s.embeds[pkg+"."+n.Name.Name], typeName(pkg, field.Type))
				}
			}
		}
		return true
	})
}

// typeName is "package.Type" of an expression in package pkg, pointer or not.
func typeName(pkg string, expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.StarExpr:
		return typeName(pkg, expr.X)
	case *ast.SelectorExpr:
		return typeName(pkg, expr.X)[len(pkg)+1:] + "." + expr.Sel.Name
	case *ast.Ident:
		return pkg + "." + expr.Name
	}
	return pkg + ".?"
}
