// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// eachCommand calls do for every command and every command below it.
func eachCommand(app *cli.App, do func(path []*cli.Command)) {
	var walk func(path, list []*cli.Command)
	walk = func(path, list []*cli.Command) {
		for _, c := range list {
			here := append(slices.Clone(path), c)
			do(here)
			walk(here, c.Subcommands)
		}
	}
	walk(nil, app.Commands)
}

// TestHelpPages asks for every help page in every way, and reads it.
func TestHelpPages(t *testing.T) {
	read := func(line string, sections ...string) {
		code, stdout, stderr := typed(t, line)
		if code != exitDone || stderr != "" {
			t.Errorf("%s: exit code %d, %s", line, code, stderr)
		}
		for _, section := range sections {
			if !strings.Contains(stdout, "\n"+section+":\n") {
				t.Errorf("%s has no section %q:\n%s", line, section, stdout)
			}
		}
		for _, text := range strings.Split(stdout, "\n") {
			if n := utf8.RuneCountInString(text); n > helpWidth {
				t.Errorf("%s: a line has %d columns, want %d: %s", line, n, helpWidth, text)
			}
		}
	}
	for _, line := range []string{"bpfimg", "bpfimg help", "bpfimg -h", "bpfimg --help", "bpfimg --debug"} {
		read(line, "Run them", "Global options", "Exit codes")
	}
	eachCommand(newApp(&terminal{lookup: os.LookupEnv}), func(path []*cli.Command) {
		name := fullName(path)
		sections := []string{"Usage", "Examples"}
		if len(path[len(path)-1].Subcommands) > 0 {
			sections = []string{"Usage", "Commands"}
			read("bpfimg "+name, sections...)
		}
		for _, line := range []string{"bpfimg help " + name, "bpfimg " + name + " --help", "bpfimg " + name + " -h --debug"} {
			read(line, sections...)
		}
		if len(path[len(path)-1].Subcommands) == 0 {
			read("bpfimg "+name+" something --help", sections...)
		}
	})
}

// TestHelpIsComplete: every command is in one group and has examples, every flag
// with a value says which, as docs/commands.md does.
func TestHelpIsComplete(t *testing.T) {
	doc, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	app := newApp(&terminal{lookup: os.LookupEnv})
	var grouped []string
	for _, group := range commandGroups() {
		grouped = append(grouped, group.names...)
	}
	used := map[string]bool{}
	values := func(where string, flags []cli.Flag) {
		for _, f := range flags {
			name := f.Names()[0]
			if d, ok := f.(cli.DocGenerationFlag); !ok || !d.TakesValue() {
				continue
			}
			used[name] = true
			if value := flagValue(f); value == "" || !strings.Contains(string(doc), "`--"+name+" "+value) {
				t.Errorf("%s: docs/commands.md does not have `--%s %s`", where, name, value)
			}
		}
	}
	values("bpfimg", app.Flags)
	eachCommand(app, func(path []*cli.Command) {
		name := fullName(path)
		c := path[len(path)-1]
		values(name, c.Flags)
		if len(c.Subcommands) == 0 && len(commandExamples()[name]) == 0 {
			t.Errorf("%s has no examples", name)
		}
		if len(path) == 1 && len(slices.DeleteFunc(slices.Clone(grouped), func(s string) bool { return s != name })) != 1 {
			t.Errorf("%s is not in one group of the help page", name)
		}
	})
	for name := range flagValues() {
		if !used[name] {
			t.Errorf("there is no flag --%s", name)
		}
	}
}

// TestExamplesAreCommandLines parses the examples of every help page.
func TestExamplesAreCommandLines(t *testing.T) {
	app := newApp(&terminal{lookup: os.LookupEnv})
	ran := ""
	eachCommand(app, func(path []*cli.Command) {
		c := path[len(path)-1]
		c.Action = func(cc *cli.Context) error {
			ran = fullName(path)
			if c.ArgsUsage != "" && !strings.ContainsAny(c.ArgsUsage[:1], "[-") && !cc.Bool("all") && !cc.Args().Present() {
				return usagef("no %s", c.ArgsUsage)
			}
			return nil
		}
	})
	for name, lines := range commandExamples() {
		for _, line := range lines {
			line, ok := strings.CutPrefix(strings.TrimPrefix(line, "source <("), "bpfimg ")
			words := strings.Fields(strings.TrimSuffix(line, ")"))
			if end := slices.IndexFunc(words, func(w string) bool { return strings.ContainsAny(w, "<>|&") }); end >= 0 {
				words = words[:end]
			}
			ran = ""
			err := app.RunContext(t.Context(), interspersed(app, append([]string{"bpfimg"}, words...)))
			if !ok || err != nil || ran != name {
				t.Errorf("example of %s: %s: ran %q, %v", name, line, ran, err)
			}
		}
	}
}
