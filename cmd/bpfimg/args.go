// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// interspersed moves the flags of the command in args before its other
// arguments. The flag library stops at the first argument that is no flag, but
// people type `bpfimg inspect counter.bpf.o -o json`, as docker lets them.
// Everything after "--" stays as it is.
func interspersed(app *cli.App, args []string) []string {
	if len(args) == 0 || args[len(args)-1] == completionFlag {
		return args // the library wants that flag last
	}
	flags, commands := app.Flags, app.Commands
	i := 1
	for i < len(args) {
		if strings.HasPrefix(args[i], "-") && args[i] != "-" {
			i += flagWidth(flags, args[i])
			continue
		}
		cmd := findCommand(commands, args[i])
		if cmd == nil {
			break
		}
		flags, commands = cmd.Flags, cmd.Subcommands
		i++
		if len(commands) == 0 {
			break
		}
	}
	i = min(i, len(args))
	return append(slices.Clone(args[:i]), reorder(flags, args[i:])...)
}

func findCommand(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if slices.Contains(c.Names(), name) {
			return c
		}
	}
	return nil
}

// reorder returns rest with its flags (and their values) first.
func reorder(flags []cli.Flag, rest []string) []string {
	var front, back []string
	for i := 0; i < len(rest); {
		if rest[i] == "--" {
			back = append(back, rest[i+1:]...)
			break
		}
		if !strings.HasPrefix(rest[i], "-") || rest[i] == "-" {
			back = append(back, rest[i])
			i++
			continue
		}
		n := min(flagWidth(flags, rest[i]), len(rest)-i)
		front = append(front, rest[i:i+n]...)
		i += n
	}
	if len(back) > 0 {
		front = append(append(front, "--"), back...)
	}
	return front
}

// flagWidth is how many arguments the flag arg takes up: 2 when its value
// follows as an argument of its own, else 1.
func flagWidth(flags []cli.Flag, arg string) int {
	name := strings.TrimLeft(arg, "-")
	if strings.Contains(name, "=") {
		return 1
	}
	if d, ok := findFlag(flags, name).(cli.DocGenerationFlag); ok && d.TakesValue() {
		return 2
	}
	return 1
}
