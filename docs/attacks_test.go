// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// namedTest is a test as attacks.md names it: `folder.TestName/row`.
var namedTest = regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)(?:/([^`]+))?`")

// testFile is what a file of tests holds.
type testFile struct {
	functions map[string]bool
	texts     map[string]bool // all string literals
	rows      []string        // those that are called name in a literal of a row
}

func readTests(t *testing.T, pattern string) []testFile {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	files := make([]testFile, 0, len(paths))
	for _, path := range paths {
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		file := testFile{functions: map[string]bool{}, texts: map[string]bool{}}
		ast.Inspect(parsed, file.note)
		files = append(files, file)
	}
	return files
}

// note is called with every node of a file.
func (f *testFile) note(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		f.functions[n.Name.Name] = true
	case *ast.BasicLit:
		if text, ok := textOf(n); ok {
			f.texts[text] = true
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "name" {
			if text, ok := textOf(n.Value); ok {
				f.rows = append(f.rows, text)
			}
		}
	}
	return true
}

func textOf(e ast.Expr) (string, bool) {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil
}

// TestAttacksAreTested: the tests that attacks.md names exist, and the rows of the
// tables of attacks are all named there.
func TestAttacksAreTested(t *testing.T) {
	doc, err := os.ReadFile("attacks.md")
	if err != nil {
		t.Fatal(err)
	}
	packages, named := map[string][]testFile{}, map[string]bool{}
	for _, m := range namedTest.FindAllStringSubmatch(string(doc), -1) {
		folder, function, row := m[1], m[2], m[3]
		if packages[folder] == nil {
			packages[folder] = readTests(t, filepath.Join("..", folder, "*_test.go"))
		}
		named[row] = true
		if !hasTest(packages[folder], function, row) {
			t.Errorf("attacks.md names %s, and there is no such test", m[0])
		}
	}
	if len(named) < 60 {
		t.Errorf("attacks.md names %d rows: is its form another one?", len(named))
	}
	for _, file := range readTests(t, "../cmd/bpfimg/attack*_test.go") {
		for _, row := range file.rows {
			if !named[row] {
				t.Errorf("attacks.md does not name the attack %q", row)
			}
		}
	}
	for _, script := range regexp.MustCompile("`([a-z/]+/[a-z_]+\\.txtar)`").FindAllStringSubmatch(string(doc), -1) {
		if _, err := os.Stat(filepath.Join("..", script[1])); err != nil {
			t.Errorf("attacks.md names %s: %v", script[0], err)
		}
	}
	if strings.Count(string(doc), ".txtar`") == 0 {
		t.Error("attacks.md names no script")
	}
}

// hasTest looks for the function, and for the row in the same file.
func hasTest(files []testFile, function, row string) bool {
	for _, f := range files {
		if f.functions[function] && (row == "" || f.texts[row]) {
			return true
		}
	}
	return false
}
