// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package joined_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// mayJoinItself lists the folders and files in which [errors.Join] stays, and why.
var mayJoinItself = map[string]string{
	"bpf/vmtest": "tests only: its messages stand in logs of tests, before consoles and scripts of many lines",
}

// TestNobodyJoinsWithLineEnds looks for errors.Join in all code but that of tests:
// what a test says goes to its log, where lines are welcome, and a test of ours
// holds this package against errors.Join.
func TestNobodyJoinsWithLineEnds(t *testing.T) {
	root := os.DirFS("../..")
	used, files := map[string]bool{}, 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin") {
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
		for _, at := range joins(t, name, src) {
			if place := exempt(name); place != "" {
				used[place] = true
			} else {
				t.Errorf("%s: errors.Join puts line ends into the message: use joined.Errors", at)
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
	for place := range mayJoinItself {
		if !used[place] {
			t.Errorf("%s has no errors.Join any more: take it off the list", place)
		}
	}
}

// exempt is the entry of mayJoinItself that covers the file, or "".
func exempt(name string) string {
	for ; name != "."; name = path.Dir(name) {
		if _, ok := mayJoinItself[name]; ok {
			return name
		}
	}
	return ""
}

// joins are the positions of errors.Join in a file, called or not, whatever name
// the file imports errors as.
func joins(t *testing.T, name string, src []byte) (at []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	local := ""
	for _, i := range file.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p != "errors" {
			continue
		}
		if local = "errors"; i.Name != nil {
			local = i.Name.Name
		}
	}
	var look func(ast.Node) bool
	look = func(n ast.Node) bool {
		found := false
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			found = ok && local != "" && x.Name == local && n.Sel.Name == "Join"
			ast.Inspect(n.X, look) // and not the name behind the dot
		case *ast.Ident:
			found = local == "." && n.Name == "Join"
		}
		if found {
			at = append(at, set.Position(n.Pos()).String())
		}
		_, selector := n.(*ast.SelectorExpr)
		return !selector
	}
	ast.Inspect(file, look)
	return at
}

func TestJoinsAreFound(t *testing.T) {
	for _, tt := range []struct {
		name, src string
		want      int
	}{
		{"none", "package p\nimport \"errors\"\nvar e = errors.New(`errors.Join(`) // errors.Join\n", 0},
		{"called", "package p\nimport \"errors\"\nvar e = errors.Join(nil)\n", 1},
		{"in an argument", "package p\nimport \"errors\"\nvar e = f(errors.Join(nil).Error, errors.Join)\n", 2},
		{"renamed", "package p\nimport std \"errors\"\nvar e = std.Join\n", 1},
		{"without a name", "package p\nimport . \"errors\"\nvar e = Join(nil)\n", 1},
		{"of another package", "package p\nimport \"strings\"\nvar e = strings.Join(nil, ``)\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := joins(t, "p.go", []byte(tt.src)); len(got) != tt.want {
				t.Errorf("got %v, want %d", got, tt.want)
			}
		})
	}
}
