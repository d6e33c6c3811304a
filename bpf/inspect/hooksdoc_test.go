// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestHooksDoc keeps the tables of docs/hooks.md those of the code; -update
// writes them.
func TestHooksDoc(t *testing.T) {
	generatedDoc(t, "../../docs/hooks.md", "<!-- generated from the table of hooks -->\n", hooksTable())
}

// generatedDoc keeps what follows the line begin in the page at path, up to the
// marker of its end, what it should be; -update writes it.
func generatedDoc(t *testing.T, path, begin, text string) {
	t.Helper()
	const end = "<!-- end -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks its markers", path)
	}
	want := head + begin + text + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Errorf("%s is not what the code says; go test ./bpf/inspect -run %s -update", path, t.Name())
	}
}

func hooksTable() string {
	var b strings.Builder
	b.WriteString("\n| hook | since | program type | section names | target | options |\n|---|---|---|---|---|---|\n")
	var later []string
	for _, h := range Hooks() {
		if !h.Delivered {
			later = append(later, "`"+h.Name+"`")
			continue
		}
		var options []string
		for _, o := range h.Options {
			text := "`" + o.Name + "`"
			if o.Values != nil {
				text += " = " + strings.Join(o.Values, ", ")
			}
			options = append(options, text+": "+o.Help)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` | %s | %s |\n", h.Name, h.Since, strings.Join(h.Programs, ", "),
			strings.Join(h.Sections, "`, `"), h.Target, strings.Join(options, "<br>"))
	}
	fmt.Fprintf(&b, "\nNamed by `bpfimg inspect`, not attached to yet: %s.\n\n", strings.Join(later, ", "))
	return b.String()
}
