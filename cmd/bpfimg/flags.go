// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

func rootFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "root", EnvVars: []string{"BPFIMG_ROOT"},
		Usage:       "folder for the image store and instance records",
		DefaultText: "/var/lib/bpfimg, or the XDG data folder when not root",
	}
}

func configFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "config", EnvVars: []string{"BPFIMG_CONFIG"},
		Usage:       "settings: mirrors, blocked registries, certificates and proxies",
		DefaultText: "/etc/bpfimg/config.yaml; before it config.yaml in the XDG config folder when not root",
	}
}

func debugFlag() cli.Flag {
	return &cli.BoolFlag{Name: "debug", Usage: "log what is done to standard error"}
}

func bpffsFlag() cli.Flag {
	return &cli.StringFlag{
		Name: "bpffs", EnvVars: []string{"BPFIMG_BPFFS"}, Value: "/sys/fs/bpf/bpfimg",
		Usage: "folder in a BPF file system for pins",
	}
}

func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: "text", Usage: "output as text or json"}
}

// valuedFlag is a flag whose value is another than that of its name elsewhere.
type valuedFlag struct {
	*cli.StringFlag
	value string
}

// fileFlag names what a command writes, as docker's -o does; --file is its older
// name. How the result is printed is said by [formatFlag] then.
func fileFlag(file, usage string) cli.Flag {
	return valuedFlag{&cli.StringFlag{Name: "output", Aliases: []string{"o", "file"}, Value: file, Usage: usage}, "FILE"}
}

func formatFlag() cli.Flag {
	return valuedFlag{&cli.StringFlag{Name: "format", Value: "text", Usage: "output as text or json"}, "text|json"}
}

func plainHTTPFlag() cli.Flag {
	return &cli.BoolFlag{Name: "plain-http", Usage: "reach the registry without TLS (automatic for loopback addresses only)"}
}

func timeoutFlag() cli.Flag {
	return &cli.DurationFlag{Name: "timeout", Value: 2 * time.Minute, Usage: "give up when the registry takes longer in all"}
}

func platformFlag() cli.Flag {
	return &cli.StringFlag{Name: "platform", Usage: "os/arch[/variant] to choose from a multi-platform image", DefaultText: "linux and this machine's architecture"}
}

func keyFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "key", Usage: usage}
}

func policyFlag() cli.Flag {
	return &cli.StringFlag{Name: "policy", EnvVars: []string{"BPFIMG_POLICY"}, Usage: "policy.yaml that says who may sign which repositories"}
}

// The values of --pull, as docker's.
const (
	pullAlways  = "always"
	pullMissing = "missing"
	pullNever   = "never"
)

func pullFlag(value string) cli.Flag {
	return &cli.StringFlag{Name: "pull", Value: value, Usage: "ask the registry: always, missing (only when the store has no trusted copy) or never"}
}

// wantJSON reads --output, or --format where --output is a file; commands that print
// nothing have neither.
func wantJSON(c *cli.Context) (bool, error) {
	name := "output"
	if flag, ok := findFlag(c.Command.Flags, "format").(valuedFlag); ok {
		name = flag.Name
	}
	switch c.String(name) {
	case "", "text":
		return false, nil
	case "json":
		return true, nil
	}
	return false, usagef("--%s %q: want text or json", name, c.String(name))
}

// oneOf checks a flag with a fixed set of values.
func oneOf(c *cli.Context, flag string, values ...string) (string, error) {
	if v := c.String(flag); slices.Contains(values, v) {
		return v, nil
	}
	return "", usagef("--%s %q: want one of %s", flag, c.String(flag), strings.Join(values, ", "))
}

// pairs parses repeated key=value flags.
func pairs(c *cli.Context, flag string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range c.StringSlice(flag) {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, usagef("--%s %q: want key=value", flag, s)
		}
		m[k] = v
	}
	return m, nil
}

// oneReference reads the command's only argument as an image reference.
func oneReference(c *cli.Context) (image.Reference, error) {
	if c.NArg() != 1 {
		return image.Reference{}, usagef("%s: want one image reference, got %d arguments", commandName(c), c.NArg())
	}
	return parseReference(c.Args().First())
}

// parseReference also takes what other tools write before a reference, docker:// and
// oci://.
func parseReference(s string) (image.Reference, error) {
	ref, err := image.ParseReference(s)
	if err == nil {
		return ref, nil
	}
	switch l, placeErr := image.ParseLocation(s); {
	case placeErr != nil:
		return ref, usageError{placeErr} // says more of what is no reference at all
	case l.Transport == image.TransportRegistry:
		return l.Reference, nil
	case l.Transport == image.TransportStore:
		return ref, usagef("%s: give the name alone, %s: images in the local store have the names of their registries", s, l.Reference)
	default:
		return ref, usagef("%s: want the name of an image in a registry: take this one into the local store with `bpfimg copy %s store:NAME`, and give NAME", s, l)
	}
}

// stateRoot is the folder for store and records: --root or BPFIMG_ROOT, else
// /var/lib/bpfimg for root and the XDG data folder for everybody else
// (XDG Base Directory Specification).
func stateRoot(c *cli.Context, lookup func(string) (string, bool)) (string, error) {
	if dir := c.String("root"); dir != "" {
		return filepath.Abs(dir)
	}
	if os.Geteuid() == 0 {
		return "/var/lib/bpfimg", nil
	}
	if dir, _ := lookup("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "bpfimg"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("no home folder: give --root or set BPFIMG_ROOT")
	}
	return filepath.Join(home, ".local", "share", "bpfimg"), nil
}
