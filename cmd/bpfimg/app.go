// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

// run executes one command line and returns the process's exit code.
func run(ctx context.Context, args []string, term *terminal) int {
	if completionEnded(args) {
		return exitDone
	}
	app, args := newApp(term), versionAsked(args)
	path, help, err := helpTopic(app, args)
	switch {
	case help:
		err = term.showHelp(app, path)
	case err == nil:
		err = app.RunContext(ctx, interspersed(app, args))
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("interrupted: %w", err)
	}
	return term.fail(err)
}

// newApp assembles the command tree. The library never exits, prints errors or
// splits values at commas on its own: attach options contain commas.
func newApp(term *terminal) *cli.App {
	return &cli.App{
		Name:                      "bpfimg",
		Usage:                     "BPF bytecode as OCI images: build, sign, push, pull, verify, run",
		Version:                   buildVersion().Version,
		HideVersion:               true,
		Writer:                    term.out,
		ErrWriter:                 term.err,
		Reader:                    term.in,
		DisableSliceFlagSeparator: true,
		EnableBashCompletion:      true,
		ExitErrHandler:            func(*cli.Context, error) {},
		OnUsageError:              func(c *cli.Context, err error, _ bool) error { return flagError(c, err) },
		Flags:                     []cli.Flag{rootFlag(), configFlag(), debugFlag()},
		Commands:                  commands(term),
	}
}

// commands lists every command in the order people meet them.
func commands(term *terminal) []*cli.Command {
	list := []*cli.Command{
		inspectCommand(term),
		diffCommand(term),
		buildCommand(term),
		pushCommand(term),
		generateKeyPairCommand(term),
		publicKeyCommand(term),
		signCommand(term),
		attestCommand(term),
		trustRootCommand(term),
		pullCommand(term),
		verifyCommand(term),
		policyCommand(term),
		runCommand(term),
		psCommand(term),
		chainCommand(term),
		describeCommand(term),
		mapCommand(term),
		updateCommand(term),
		stopCommand(term),
		doctorCommand(term),
		hooksCommand(term),
		imagesCommand(term),
		rmCommand(term),
		tagCommand(term),
		copyCommand(term),
		saveCommand(term),
		loadCommand(term),
		treeCommand(term),
		manifestCommand(term),
		extractCommand(term),
		lsCommand(term),
		loginCommand(term),
		logoutCommand(term),
		pruneCommand(term),
		storeCommand(term),
		registryCommand(term),
		schemaCommand(term),
		completionCommand(term),
		versionCommand(term),
	}
	for _, c := range list {
		quietUsage(c)
	}
	return list
}

// quietUsage makes a wrong flag a [usageError] (exit 2) rather than a printed
// help page, and "help" an argument like others: [helpTopic] reads it where it is
// a command. Commands without ArgsUsage take no arguments.
func quietUsage(c *cli.Command) {
	c.OnUsageError = func(c *cli.Context, err error, _ bool) error { return flagError(c, err) }
	c.HideHelpCommand = true
	if c.ArgsUsage == "" && len(c.Subcommands) == 0 {
		c.Before = noArguments
	}
	for _, sub := range c.Subcommands {
		quietUsage(sub)
	}
}
