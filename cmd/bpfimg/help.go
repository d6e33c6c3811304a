// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// helpWidth is the widest line of a help page in columns: what every terminal has.
// helpColumn is where the second column begins.
const (
	helpWidth  = 80
	helpColumn = 24
)

// commandGroup is a part of the list of commands.
type commandGroup struct {
	title string
	names []string
}

// commandGroups sorts the commands by what people want to do.
func commandGroups() []commandGroup {
	return []commandGroup{
		{"Make images", []string{"inspect", "diff", "build", "push"}},
		{"Sign them", []string{"generate-key-pair", "public-key", "sign", "attest"}},
		{"Decide whom to trust", []string{"verify", "policy", "trust-root"}},
		{"Run them", []string{"pull", "run", "update", "stop"}},
		{"See what runs", []string{"ps", "describe", "chain", "map", "doctor", "hooks"}},
		{"Move images", []string{"copy", "save", "load", "tree", "manifest", "extract", "ls", "login", "logout"}},
		{"Look after the local store", []string{"images", "tag", "rm", "prune", "store"}},
		{"Others", []string{"registry", "schema", "completion", "version", "help"}},
	}
}

// showHelp prints the page of the command at path, or of bpfimg itself.
func (t *terminal) showHelp(app *cli.App, path []*cli.Command) error {
	p := &page{}
	switch {
	case len(path) == 0:
		p.app(app)
	default:
		p.command(path)
	}
	_, err := fmt.Fprint(t.out, p.String())
	return err
}

// page is a help page that is being written.
type page struct{ strings.Builder }

func (p *page) app(app *cli.App) {
	p.paragraph(0, "bpfimg: "+app.Usage)
	p.heading("Usage")
	p.paragraph(2, "bpfimg [global options] COMMAND [options] [arguments]")
	for _, group := range commandGroups() {
		p.heading(group.title)
		for _, name := range group.names {
			if c := findCommand(app.Commands, name); c != nil {
				p.item(strings.Join(c.Names(), ", "), c.Usage)
			}
		}
	}
	p.item("help", "show this, or `bpfimg help COMMAND` the options and examples of a command")
	p.heading("Global options")
	p.flags(app.Flags)
	p.heading("Exit codes")
	p.paragraph(2, "0 done, 1 failed, 2 wrong usage, 3 not trusted, 4 not found, 5 the kernel refused, 6 not permitted")
}

func (p *page) command(path []*cli.Command) {
	c, name := path[len(path)-1], fullName(path)
	p.paragraph(0, "bpfimg "+name+": "+c.Usage)
	p.heading("Usage")
	switch {
	case len(c.Subcommands) > 0:
		p.paragraph(2, "bpfimg "+name+" COMMAND [options] [arguments]")
		p.heading("Commands")
		for _, sub := range c.Subcommands {
			p.item(strings.Join(sub.Names(), ", "), sub.Usage)
		}
		return
	case len(c.Flags) > 0:
		p.paragraph(2, strings.TrimSpace("bpfimg "+name+" [options] "+c.ArgsUsage))
	default:
		p.paragraph(2, strings.TrimSpace("bpfimg "+name+" "+c.ArgsUsage))
	}
	p.heading("Examples")
	for _, line := range commandExamples()[name] {
		fmt.Fprintln(p, "  "+line)
	}
	if len(c.Flags) > 0 {
		p.heading("Options")
		p.flags(c.Flags)
	}
}

func fullName(path []*cli.Command) string {
	names := make([]string, len(path))
	for i, c := range path {
		names[i] = c.Name
	}
	return strings.Join(names, " ")
}

func (p *page) heading(title string) { fmt.Fprintf(p, "\n%s:\n", title) }

// paragraph writes text in lines of [helpWidth].
func (p *page) paragraph(indent int, text string) {
	for _, line := range wrapped(text, helpWidth-indent) {
		fmt.Fprintln(p, strings.Repeat(" ", indent)+line)
	}
}

// item writes a row of two columns. A name that is too long has a line of its own.
func (p *page) item(name, text string) {
	lines := wrapped(text, helpWidth-helpColumn)
	if utf8.RuneCountInString(name) > helpColumn-4 {
		fmt.Fprintln(p, "  "+name)
	} else {
		fmt.Fprintf(p, "  %-*s%s\n", helpColumn-2, name, lines[0])
		lines = lines[1:]
	}
	for _, line := range lines {
		fmt.Fprintln(p, strings.Repeat(" ", helpColumn)+line)
	}
}

// wrapped cuts text into lines of at most width columns, between words.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}

func (p *page) flags(flags []cli.Flag) {
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if !ok || slices.Contains(f.Names(), "help") {
			continue
		}
		p.item(flagTitle(d, f.Names()), flagText(d))
	}
	p.item("--help, -h", "show this")
}

// flagTitle is how a flag is typed.
func flagTitle(d cli.DocGenerationFlag, names []string) string {
	typed := make([]string, len(names))
	for i, name := range names {
		typed[i] = dashes(name)
	}
	title := strings.Join(typed, ", ")
	if d.TakesValue() {
		title += " " + flagValue(d)
	}
	return title
}

// dashes is a flag's name as people type it.
func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// flagText is what a flag does, its default and its environment variable.
func flagText(d cli.DocGenerationFlag) string {
	text := strings.ReplaceAll(d.GetUsage(), "`", "")
	for _, separator := range []string{": ", ", "} {
		text = strings.TrimPrefix(text, flagValue(d)+separator)
	}
	if value := d.GetDefaultText(); value != "" && value != "false" && value != "0s" {
		text += " (default: " + strings.Trim(strings.TrimSuffix(value, "m0s"), `"`)
		if strings.HasSuffix(value, "m0s") {
			text += "m"
		}
		text += ")"
	}
	for _, variable := range d.GetEnvVars() {
		text += " [$" + variable + "]"
	}
	return text
}

// flagValue says in one word what the value of a flag is.
func flagValue(f cli.Flag) string {
	if own, ok := f.(valuedFlag); ok {
		return own.value
	}
	return flagValues()[f.Names()[0]]
}

// flagValues says what the value of each flag is, in one word for all commands
// that have it and for docs/commands.md.
func flagValues() map[string]string {
	return map[string]string{
		"address": "HOST:PORT", "annotation": "KEY=VALUE", "attach": "PROGRAM=HOOK[:TARGET][,option=value…]",
		"bpffs": "DIR", "btf": "FILE", "btf-archive": "DIR", "builder-id": "URI",
		"certificate-identity": "SUBJECT", "certificate-identity-regexp": "PATTERN", "certificate-oidc-issuer": "ISSUER",
		"clang": "PROGRAM", "compression": "gzip|zstd|none", "config": "FILE", "dir": "DIR", "directory": "DIR", "file": "FILE",
		"format": "image|artifact", "fulcio-url": "URL", "identity-token": "FILE", "iface": "NAME", "input": "FILE",
		"interval": "DURATION", "key": "FILE", "label": "KEY=VALUE", "limit": "N", "map-group": "GROUP",
		"map-max-entries": "MAP=NUMBER", "map-mode": "MODE", "measure": "DURATION", "mirror": "URL", "name": "NAME",
		"netns": "/run/netns/NAME|pid:NUMBER", "output": "text|json", "output-key-prefix": "PREFIX",
		"platform": "OS/ARCH[/VARIANT]", "policy": "FILE", "predicate": "FILE", "profile": "NAME", "pull": "always|missing|never",
		"rekor-url": "URL", "root": "DIR", "set": "VARIABLE=VALUE", "share-maps": "INSTANCE", "signing-config": "FILE",
		"tag": "NAME", "timeout": "DURATION", "timestamp-server-url": "URL", "trusted-root": "FILE",
		"tuf-root": "FILE", "type": "NAME", "use-map": "MAP=PATH", "username": "USER",
	}
}
