// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the pages people read, by their names without docs/, with line
// continuations joined.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) == 0 {
		t.Fatal("no pages: ", err)
	}
	all := map[string]string{}
	for _, name := range append(names, "../../README.md", "../../CONTRIBUTING.md", "../../examples/README.md", "../../examples/demo.sh") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(strings.TrimPrefix(filepath.ToSlash(name), "../../"), "docs/")] = strings.ReplaceAll(string(data), "\\\n", " ")
	}
	return all
}

// typedLine is a command line in a code span, or at the begin of a line of a block.
var typedLine = regexp.MustCompile("(?m)(?:`|^ *(?:[$#] |sudo |exec |ExecStart\\S*=\\S*/)?)bpfimg ([^`\n]*)")

// TestDocsNameWhatExists: every command and flag that a page shows is there.
func TestDocsNameWhatExists(t *testing.T) {
	app := newApp(&terminal{lookup: os.LookupEnv})
	found := 0
	for name, page := range documents(t) {
		for _, match := range typedLine.FindAllStringSubmatch(page, -1) {
			flags, commands := app.Flags, app.Commands
			for i, word := range strings.Fields(match[1]) {
				word = strings.Trim(word, "[]()\"',;:.…")
				if c := findCommand(commands, word); c != nil {
					flags, commands = slices.Concat(flags, c.Flags), c.Subcommands
					found++
				} else if i == 0 && word != "help" && regexp.MustCompile(`^[a-z][a-z-]+$`).MatchString(word) && isCommandLine(match[0]) {
					t.Errorf("%s: there is no command %q: bpfimg %s", name, word, match[1])
				}
				if long, ok := strings.CutPrefix(word, "--"); ok && long != "" {
					long, _, _ = strings.Cut(long, "=")
					if findFlag(flags, long) == nil && !slices.Contains([]string{"help", "version"}, long) {
						t.Errorf("%s: there is no flag --%s: bpfimg %s", name, long, match[1])
					}
				}
				if strings.ContainsAny(word, "|&#") {
					break
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d commands found in the pages", found)
	}
}

// isCommandLine tells a code span from a sentence that begins with "bpfimg".
func isCommandLine(match string) bool {
	return !strings.HasPrefix(match, "bpfimg ")
}

// TestEnvironmentIsDocumented: every variable the code reads is in the table.
func TestEnvironmentIsDocumented(t *testing.T) {
	_, table, _ := strings.Cut(documents(t)["commands.md"], "\n## Environment\n")
	table, _, _ = strings.Cut(table, "\n## ")
	variable := regexp.MustCompile(`"((?:BPFIMG|COSIGN|SIGSTORE|DOCKER|REGISTRY|SOURCE|XDG)_[A-Z_]+|CLANG|ACTIONS_ID_TOKEN_REQUEST_URL|NO_COLOR)"`)
	found := 0
	for _, room := range []string{"cmd", "bpf", "build", "image", "pull", "sign", "verify", "internal", "testregistry"} {
		err := filepath.WalkDir("../../"+room, func(name string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "vmtest") {
				return err
			}
			data, err := os.ReadFile(name)
			for _, match := range variable.FindAllStringSubmatch(string(data), -1) {
				found++
				if !strings.Contains(table, "`"+match[1]+"`") {
					t.Errorf("%s reads %s, which docs/commands.md does not explain", name, match[1])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 10 {
		t.Errorf("only %d variables found in the code", found)
	}
}
