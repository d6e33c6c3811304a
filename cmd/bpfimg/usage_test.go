// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// typed runs a command line as a person types it.
func typed(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	term := &terminal{in: strings.NewReader(""), out: &out, err: &errs, lookup: os.LookupEnv}
	code = run(t.Context(), strings.Fields(line), term)
	return code, out.String(), errs.String()
}

// TestSlips are the mistakes of people who know other tools, or type fast.
func TestSlips(t *testing.T) {
	t.Setenv("BPFIMG_ROOT", t.TempDir())
	for _, test := range []struct{ line, want string }{
		{"bpfimg buld", "unknown command \"buld\": did you mean `bpfimg build`?"},
		{"bpfimg frobnicate", "unknown command \"frobnicate\": see `bpfimg --help`"},
		{"bpfimg list", "unknown command \"list\": did you mean `bpfimg ps`?"},
		{"bpfimg image ls", "unknown command \"image\": did you mean `bpfimg images`?"},
		{"bpfimg map dmp a b", "unknown command \"dmp\": did you mean `bpfimg map dump`?"},
		{"bpfimg map list a", "unknown command \"list\": did you mean `bpfimg map ls`?"},
		{"bpfimg policy frobnicate", "unknown command \"frobnicate\": see `bpfimg policy --help`"},
		{"bpfimg help frobnicate", "unknown command \"frobnicate\": see `bpfimg --help`"},
		{"bpfimg run x --atach=a", "unknown flag \"--atach\": did you mean --attach? `bpfimg run --help` lists them"},
		{"bpfimg --rot x ps", "unknown flag \"--rot\": did you mean --root? `bpfimg --help` lists them"},
		{"bpfimg ps -x", "unknown flag \"-x\": `bpfimg ps --help` lists those there are"},
		{"bpfimg policy check --key k", "unknown flag \"--key\": `bpfimg policy check --help` lists those there are"},
		{"bpfimg pull --timeout", "--timeout needs a value: DURATION"},
		{"bpfimg inspect a.o -o", "-o needs a value: text|json"},
		{"bpfimg --root", "--root needs a value: DIR"},
		{"bpfimg pull --timeout 5 x", "--timeout \"5\": want a duration with its unit, such as 30s or 5m"},
		{"bpfimg map dump --limit many a b", "--limit \"many\": want a number"},
		{"bpfimg build --push=7 x", "--push \"7\": want true or false"},
		{"bpfimg hooks xpd", "no hook \"xpd\": did you mean xdp?"},
		{"bpfimg hooks nonsense", "no hook \"nonsense\": `bpfimg hooks` lists them"},
		{"bpfimg hooks xdp tc", "hooks: want one HOOK or none, got 2 arguments"},
		{"bpfimg images x", "images takes no arguments, got \"x\": see `bpfimg images --help`"},
		{"bpfimg ps x", "ps takes no arguments, got \"x\": see `bpfimg ps --help`"},
		{"bpfimg store check x", "store check takes no arguments, got \"x\": see `bpfimg store check --help`"},
		{"bpfimg registry serve --profile x", "there is no profile \"x\": see `bpfimg registry serve --profile list`"},
		{"bpfimg registry serve x", "registry serve takes no arguments, got \"x\": see `bpfimg registry serve --help`"},
	} {
		code, _, stderr := typed(t, test.line)
		if code != exitUsage || stderr != "error: "+test.want+"\n" {
			t.Errorf("%s: exit code %d, want %d\n got %swant error: %s", test.line, code, exitUsage, stderr, test.want)
		}
	}
}

// TestNamesLikeHelp: an image may be called as a command of the flag library is.
func TestNamesLikeHelp(t *testing.T) {
	t.Setenv("BPFIMG_ROOT", t.TempDir())
	for _, line := range []string{"bpfimg rm h", "bpfimg rm help", "bpfimg rm -- --help"} {
		if code, stdout, stderr := typed(t, line); code == exitDone || stdout != "" {
			t.Errorf("%s: exit code %d, %s%s", line, code, stdout, stderr)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"attach", "iface", "name", "output", "o", "set"}
	for _, test := range []struct{ word, want string }{
		{"atach", "attach"},
		{"attahc", "attach"},
		{"ifcae", "iface"},
		{"nane", "name"},
		{"outputs", "output"},
		{"st", "set"},
		{"x", ""},
		{"verify", ""},
		{"", ""},
	} {
		if got, ok := nearest(test.word, names); got != test.want || ok != (test.want != "") {
			t.Errorf("nearest to %q is %q, %t, want %q", test.word, got, ok, test.want)
		}
	}
}

// TestForeignCommandsExist keeps the advice right when commands are renamed.
func TestForeignCommandsExist(t *testing.T) {
	app := newApp(&terminal{lookup: os.LookupEnv})
	for word, ours := range foreignCommands() {
		commands := app.Commands
		for _, name := range strings.Fields(ours) {
			c := findCommand(commands, name)
			if c == nil {
				t.Fatalf("%s: there is no %s", word, ours)
			}
			commands = c.Subcommands
		}
		if findCommand(app.Commands, word) != nil {
			t.Errorf("%s is a command of ours", word)
		}
	}
}

// TestLostOutput: who writes to a full disk must learn it from every command.
func TestLostOutput(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIP-REASON: no /dev/full here: ", err)
	}
	t.Cleanup(func() { full.Close() })
	t.Setenv("BPFIMG_ROOT", t.TempDir())
	object := "../../examples/xdp-counter/counter.bpf.o"
	for _, line := range []string{
		"help", "version", "completion bash", "schema policy", "policy default", "images", "store check", "prune",
		"inspect " + object, "inspect -o json " + object, "diff " + object + " " + object, "build -t localhost:1/x " + object,
		"tree store:localhost:1/x", "ls store:localhost:1/x", "ls -o json store:localhost:1/x",
	} {
		var errs bytes.Buffer
		term := &terminal{in: strings.NewReader(""), out: &escaper{w: full}, err: &errs, lookup: os.LookupEnv}
		code := run(t.Context(), append([]string{"bpfimg"}, strings.Fields(line)...), term)
		if code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%s: exit code %d, want %d: %s", line, code, exitFailed, errs.String())
		}
	}
}
