// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func TestInterspersed(t *testing.T) {
	app := newApp(&terminal{lookup: os.LookupEnv})
	for _, test := range []struct{ in, want string }{
		{"bpfimg inspect a.o -o json", "bpfimg inspect -o json -- a.o"},
		{"bpfimg inspect -o json a.o", "bpfimg inspect -o json -- a.o"},
		{"bpfimg build a.o b.o -t x:1 --push", "bpfimg build -t x:1 --push -- a.o b.o"},
		{"bpfimg --root r build a.o --tag=x", "bpfimg --root r build --tag=x -- a.o"},
		{"bpfimg map dump i m -w", "bpfimg map dump -w -- i m"},
		{"bpfimg rm -- -o", "bpfimg rm -- -o"},
		{"bpfimg inspect a.o -o", "bpfimg inspect -o -- a.o"},
		{"bpfimg --root", "bpfimg --root"},
		{"bpfimg", "bpfimg"},
		{"bpfimg stop x --generate-bash-completion", "bpfimg stop x --generate-bash-completion"},
	} {
		got := strings.Join(interspersed(app, strings.Fields(test.in)), " ")
		if got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.in, got, test.want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("running x: %w", err) }
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("anything"), exitFailed},
		{image.ErrDigestMismatch, exitFailed},
		{image.ErrUnauthorized, exitFailed},
		{context.Canceled, exitFailed},
		{usagef("no"), exitUsage},
		{bpf.ErrUsage, exitUsage},
		{verify.ErrNotTrusted, exitNotTrusted},
		{errors.Join(image.ErrNotFound, verify.ErrNotTrusted), exitNotTrusted},
		// What could not be found out is neither a refusal nor absent.
		{verify.ErrUndecided, exitFailed},
		{errors.Join(verify.ErrUndecided, image.ErrNotFound), exitFailed},
		{errors.Join(verify.ErrUndecided, fs.ErrPermission), exitFailed},
		{errors.Join(verify.ErrUndecided, verify.ErrNotTrusted), exitNotTrusted},
		{image.ErrNotFound, exitNotFound},
		{bpf.ErrNoInstance, exitNotFound},
		{bpf.ErrNoTarget, exitNotFound},
		{fs.ErrNotExist, exitFailed},
		{fs.ErrPermission, exitPermission},
		{&bpf.KernelError{Err: errors.New("no")}, exitKernel},
		{&bpf.KernelError{Err: syscall.EPERM}, exitKernel},
		{&bpf.KernelError{Err: syscall.ENOENT}, exitKernel},
		{errors.Join(verify.ErrNotTrusted, fs.ErrPermission), exitNotTrusted},
		{&bpf.UnsupportedError{}, exitKernel},
		{&bpf.PermissionError{}, exitPermission},
	} {
		err := test.err
		if err != nil {
			err = wrap(err)
		}
		if got := exitCode(err); got != test.want {
			t.Errorf("exit code of %v: %d, want %d", err, got, test.want)
		}
	}
}

// TestRegistryHints: a refusal with a cause gets what helps against it, also where the
// registry called it denied, and even if two things are wrong at once.
func TestRegistryHints(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{image.ErrUnauthorized, "log in with"},
		{image.ErrNotFound, ""},
		{image.ErrNoRepository, "create the repository first"},
		{image.ErrImmutable, "another tag"},
		{image.ErrAttachmentImmutable, "sha256-*"},
		{sign.ErrUnlisted, "needs no such list"},
		{image.ErrQuota, "quota"},
		{image.ErrBodyTooLarge, "client_max_body_size"},
		{image.ErrArtifactRefused, "--format image"},
		{image.ErrSignatureRefused, "--legacy-signature"},
		{image.ErrReferrerRefused, "no other form"},
		{errors.Join(image.ErrUnauthorized, image.ErrArtifactRefused), "--format image"},
		{errors.Join(image.ErrUnauthorized, image.ErrSignatureRefused), "--legacy-signature"},
	} {
		got := hint(fmt.Errorf("pushing x: %w", test.err))
		if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("hint of %v: %q, want %q", test.err, got, test.want)
		}
	}
}

func TestSafeText(t *testing.T) {
	for _, test := range []struct{ in, field, stream string }{
		{"plain text, ünïcödé ☃", "plain text, ünïcödé ☃", "plain text, ünïcödé ☃"},
		{"\x1b[2J", `\u001b[2J`, `\u001b[2J`},
		{"a\nb\tc", `a\u000ab\u0009c`, "a\nb\tc"},
		{"\u009b31m", `\u009b31m`, `\u009b31m`},
		{"\u202egnp.o", `\u202egnp.o`, `\u202egnp.o`},
		{"\x7f\xff", `\u007f\ufffd`, `\u007f\ufffd`},
		{"\U000e0001", `\udb40\udc01`, `\udb40\udc01`},
	} {
		if got := safe(test.in); got != test.field {
			t.Errorf("safe(%q) = %q, want %q", test.in, got, test.field)
		}
		var b bytes.Buffer
		n, err := (&escaper{w: &b}).Write([]byte(test.in))
		if err != nil || n != len(test.in) || b.String() != test.stream {
			t.Errorf("escaper(%q) = %q, %d, %v; want %q", test.in, b.String(), n, err, test.stream)
		}
	}
}

// TestEveryFlagIsDocumented keeps docs/commands.md complete.
func TestEveryFlagIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range strings.Split(string(doc), "\n## ")[1:] {
		title, body, _ := strings.Cut(part, "\n")
		sections[strings.Trim(title, "`")] = body
	}
	var walk func(prefix string, list []*cli.Command)
	walk = func(prefix string, list []*cli.Command) {
		for _, c := range list {
			name := prefix + c.Name
			walk(name+" ", c.Subcommands)
			if len(c.Subcommands) > 0 {
				continue
			}
			body, ok := sections[name]
			if !ok {
				t.Errorf("docs/commands.md has no section %q", name)
			}
			for _, f := range c.Flags {
				flag := "`--" + f.Names()[0]
				if !strings.Contains(body, flag) && !strings.Contains(sections["Flags that many commands share"], flag) {
					t.Errorf("docs/commands.md: %s: flag %s is missing", name, flag)
				}
			}
		}
	}
	app := newApp(&terminal{lookup: os.LookupEnv})
	walk("", slices.Clone(app.Commands))
}
