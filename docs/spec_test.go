// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package docs holds what people read; this is the test of the specification:
// every block in it is what the code writes, or is read by the code.
package docs

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the examples into spec.md instead of comparing with them")

const specFile = "spec.md"

// block is a fenced block of the specification: its name, between the fences.
var block = regexp.MustCompile("(?ms)^```(\\w*)(?: name=([\\w-]+))?\n(.*?)^```$")

// TestExamples compares the examples with what the code writes; -update writes
// them into the document.
func TestExamples(t *testing.T) {
	written := examples(t)
	data, err := os.ReadFile(specFile)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	text := block.ReplaceAllStringFunc(string(data), func(found string) string {
		parts := block.FindStringSubmatch(found)
		language, name, body := parts[1], parts[2], parts[3]
		want, ok := written[name]
		switch {
		case seen[name]:
			t.Errorf("two blocks are named %q", name)
		case name == "":
			t.Errorf("a block without a name, which nothing checks:\n%s", body)
		case ok && body != want && !*update:
			t.Errorf("%s is not what the code writes (-document +code); go test ./docs -update\n%s", name, cmp.Diff(body, want))
		case ok:
			body = want
		case readers[name] == nil:
			t.Errorf("nothing checks the block %q", name)
		default:
			t.Run(name, func(t *testing.T) { readers[name](t, body) })
		}
		seen[name] = true
		return "```" + language + " name=" + name + "\n" + body + "```"
	})
	for name := range written {
		if !seen[name] {
			t.Errorf("the document lacks the example %q", name)
		}
	}
	for name := range readers {
		if !seen[name] {
			t.Errorf("the document lacks the example %q", name)
		}
	}
	if strings.Count(text, "```") != 2*len(seen) {
		t.Error("a fence is not one that is checked")
	}
	if *update && text != string(data) {
		if err := os.WriteFile(specFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
