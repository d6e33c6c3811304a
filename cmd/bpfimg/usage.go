// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// helpTopic finds the command whose help page args ask for: `bpfimg`, `bpfimg help
// COMMAND`, `bpfimg COMMAND --help` wherever that stands, and a command that has
// others below it and is given none. wanted is false if the command is to be run.
// The flag library would take an argument "help" or "h" for a command, whatever the
// instance or image of that name; a flag it does not know is left to it.
func helpTopic(app *cli.App, args []string) (path []*cli.Command, wanted bool, err error) {
	if len(args) == 0 || args[len(args)-1] == completionFlag {
		return nil, false, nil
	}
	flags, commands := app.Flags, app.Commands
	for i := 1; i < len(args) && args[i] != "--"; i++ {
		switch arg := args[i]; {
		case isHelpFlag(arg):
			wanted = true
		case strings.HasPrefix(arg, "-") && arg != "-":
			name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			i += flagWidth(flags, arg) - 1
			if findFlag(flags, name) == nil {
				return path, wanted, nil
			}
			if i == len(args) {
				return nil, false, usagef("%s needs a value: %s", arg, flagValue(findFlag(flags, name)))
			}
		case len(commands) == 0:
		case arg == "help" || arg == "h":
			wanted = true
		default:
			cmd := findCommand(commands, arg)
			if cmd == nil {
				return nil, false, unknownCommand(path, commands, arg)
			}
			path, flags, commands = append(path, cmd), cmd.Flags, cmd.Subcommands
		}
	}
	return path, wanted || len(commands) > 0, nil
}

func isHelpFlag(arg string) bool {
	return slices.Contains([]string{"--help", "-help", "-h", "--h"}, arg)
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// unknownCommand is the error for a command that does not exist below path.
func unknownCommand(path, commands []*cli.Command, name string) error {
	var names []string
	for _, c := range commands {
		names = append(names, c.Names()...)
	}
	above := strings.TrimSpace("bpfimg " + fullName(path))
	likely, ok := foreignCommands()[name]
	if !ok || len(path) > 0 {
		likely, ok = nearest(name, names)
	}
	if ok {
		return usagef("unknown command %q: did you mean `%s %s`?", name, above, likely)
	}
	return usagef("unknown command %q: see `%s --help`", name, above)
}

// foreignCommands are what other tools of this field call what bpfimg does too:
// docker and podman, crane, cosign, bpfman, bpftool and ig.
func foreignCommands() map[string]string {
	return map[string]string{
		"attach": "run", "detach": "stop", "digest": "tree", "export": "save", "gc": "prune", "get": "describe",
		"image": "images", "import": "load", "initialize": "trust-root update", "kill": "stop", "list": "ps",
		"net": "chain", "prog": "ps", "remove": "rm", "show": "describe", "sbom": "attest",
		"start": "run", "system": "prune", "tags": "ls", "triangulate": "tree", "unload": "stop",
		"upgrade": "update", "validate": "policy check",
	}
}

// flagError is err of the flag library as people read it: with the flag as it is
// typed, the command, and what would be right.
func flagError(c *cli.Context, err error) error {
	flags, help := c.Command.Flags, strings.TrimSpace("bpfimg "+commandName(c))+" --help"
	text := err.Error()
	if flag, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		if likely, found := nearest(flag, flagNames(flags)); found {
			return usagef("unknown flag %q: did you mean %s? `%s` lists them", dashes(flag), dashes(likely), help)
		}
		return usagef("unknown flag %q: `%s` lists those there are", dashes(flag), help)
	}
	if value, flag, ok := invalidValue(text); ok {
		return usagef("%s %s: want %s", dashes(flag), value, wantedValue(flags, flag))
	}
	return usageError{err}
}

// commandName is what is typed behind "bpfimg"; the library's FullName leaves out
// the commands above.
func commandName(c *cli.Context) string {
	return strings.TrimSpace(strings.TrimPrefix(c.Command.HelpName, "bpfimg"))
}

// invalidValue takes `invalid value "5" for flag -timeout: parse error`, and what the
// package flag says of a bool, apart. The value is quoted already.
func invalidValue(text string) (value, flag string, ok bool) {
	for prefix, middle := range map[string]string{"invalid value ": " for flag -", "invalid boolean value ": " for -"} {
		rest, found := strings.CutPrefix(text, prefix)
		if at := strings.LastIndex(rest, middle); found && at >= 0 {
			flag, _, ok = strings.Cut(rest[at+len(middle):], ": ")
			return rest[:at], flag, ok
		}
	}
	return "", "", false
}

// wantedValue says what a flag takes.
func wantedValue(flags []cli.Flag, name string) string {
	switch findFlag(flags, name).(type) {
	case *cli.DurationFlag:
		return "a duration with its unit, such as 30s or 5m"
	case *cli.IntFlag, *cli.UintFlag, *cli.Int64Flag, *cli.Uint64Flag:
		return "a number"
	case *cli.BoolFlag:
		return "true or false"
	case nil:
		return ""
	}
	return flagValue(findFlag(flags, name))
}

func flagNames(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()...)
	}
	return names
}

// nearest is the word among names that is one or two typing mistakes away from
// word: more are another word.
func nearest(word string, names []string) (string, bool) {
	best, least := "", min(3, (len(word)+2)/2)
	for _, name := range names {
		if len(name) < 2 {
			continue
		}
		if d := mistakes(word, name); d < least {
			best, least = name, d
		}
	}
	return best, best != ""
}

// mistakes counts the letters to insert, drop, change or swap with the next to get
// from a to b: the optimal string alignment distance.
func mistakes(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// noArguments refuses arguments of a command that looks at none.
func noArguments(c *cli.Context) error {
	if c.NArg() > 0 {
		name := commandName(c)
		return usagef("%s takes no arguments, got %q: see `bpfimg %s --help`", name, c.Args().First(), name)
	}
	return nil
}

// versionAsked makes `bpfimg --version`, which people try, the command.
func versionAsked(args []string) []string {
	if len(args) == 2 && args[1] == "--version" {
		return []string{args[0], "version"}
	}
	return args
}
