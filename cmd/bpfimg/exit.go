// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/image/hosts"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/sign/trustroot"
	"github.com/bpfimg/bpfimg/verify"
)

// Exit codes of every command.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNotTrusted = 3
	exitNotFound   = 4
	exitKernel     = 5
	exitPermission = 6
)

// usageError is a command line that cannot be meant.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// exitCode maps an error to the process's exit code: the one place that does.
// Trust comes before everything else, so that a refusal is never mistaken for
// another failure.
func exitCode(err error) int {
	var (
		usage       usageError
		kernel      *bpf.KernelError
		unsupported *bpf.UnsupportedError
		permission  *bpf.PermissionError
		platform    *pull.PlatformError
		several     *failures
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &several):
		return exitCodeOf(several.errs)
	case errors.Is(err, verify.ErrNotTrusted):
		return exitNotTrusted
	case errors.Is(err, verify.ErrUndecided):
		return exitFailed // whatever kept it from being decided
	case errors.As(err, &usage), errors.Is(err, bpf.ErrUsage), errors.Is(err, bpf.ErrSetting), errors.Is(err, build.ErrOptions), errors.Is(err, build.ErrFile),
		errors.Is(err, image.ErrReference), errors.Is(err, image.ErrLosesDigest), errors.Is(err, image.ErrOtherRegistry),
		errors.Is(err, hosts.ErrSettings), errors.Is(err, sign.ErrServices), errors.Is(err, trustroot.ErrOptions):
		return exitUsage
	case errors.As(err, &permission):
		return exitPermission
	case errors.As(err, &kernel), errors.As(err, &unsupported):
		return exitKernel
	case errors.Is(err, fs.ErrPermission):
		return exitPermission
	case errors.As(err, &platform), errors.Is(err, image.ErrNotFound), errors.Is(err, bpf.ErrNoInstance), errors.Is(err, bpf.ErrNoTarget), errors.Is(err, bpf.ErrNoMap):
		return exitNotFound
	}
	return exitFailed
}

// exitCodeOf is the exit code of several failures: that a script may act on is only
// what holds for all of them, but a refusal counts alone.
func exitCodeOf(errs []error) int {
	code := exitCode(errs[0])
	for _, err := range errs {
		switch c := exitCode(err); {
		case c == exitNotTrusted:
			return c
		case c != code:
			code = exitFailed
		}
	}
	return code
}

// hint says what to do next, where the error itself does not.
func hint(err error) string {
	var permission *bpf.PermissionError
	var compilation *compile.Error
	var elsewhere elsewhereError
	switch {
	case errors.As(err, &compilation):
		return safe(compilation.Hint)
	case errors.As(err, &permission):
		return "run as root, or give the process that capability (setcap, AmbientCapabilities= of systemd)"
	case errors.Is(err, fs.ErrPermission):
		return "run as root, or as the user whom that file belongs to; BPFIMG_ROOT and BPFIMG_BPFFS name other folders"
	case errors.Is(err, sign.ErrPassword):
		return "set COSIGN_PASSWORD, or type the password when asked"
	case errors.Is(err, bpf.ErrExists):
		return "give another --name, or `bpfimg stop` it first"
	case errors.Is(err, inspect.ErrNotBPF):
		return "compile with: clang -g -O2 -target bpf -c FILE.bpf.c -o FILE.bpf.o"
	case errors.As(err, &elsewhere):
		return safe("signatures were looked for in " + elsewhere.repository + " alone, which COSIGN_REPOSITORY names, and not beside the image")
	case errors.Is(err, context.DeadlineExceeded):
		return "the other side did not answer in time; try again, or give a longer --timeout"
	}
	return registryHint(err)
}

// registryHints say what helps when a registry refuses something. The first that fits
// counts, so that what was refused comes before who asked.
var registryHints = []struct {
	cause error
	hint  string
}{
	{image.ErrAttachmentImmutable, "let the tags sha256-* be moved in the settings of the registry: they change with every signature"},
	{sign.ErrUnlisted, "`bpfimg sign --legacy-signature` needs no such list, only a tag; attestations do need one"},
	{image.ErrFallbackTaken, "`bpfimg sign --legacy-signature` needs no such list, only a tag; attestations do need one"},
	{image.ErrImmutable, "give it another tag, or let this one be moved in the settings of the registry"},
	{image.ErrQuota, "make room there, such as by deleting old tags, or have the quota raised"},
	{image.ErrNoRepository, "create the repository first, as Amazon ECR and Google Artifact Registry want it"},
	{image.ErrBodyTooLarge, "raise the largest body that the registry, or the proxy before it, takes (client_max_body_size of nginx)"},
	{image.ErrArtifactRefused, "build it with --format image: every registry takes container images"},
	{image.ErrSignatureRefused, "sign with a key and --legacy-signature: what cosign 2 wrote is a container image to a registry"},
	{image.ErrReferrerRefused, "have its type allowed in the settings of the registry; attestations have no other form (copy --no-referrers leaves them out)"},
	{image.ErrNoTagDelete, "`bpfimg rm --remote NAME@sha256:…` deletes the image there with all its tags, if the registry allows that; a single tag goes on the registry's own pages"},
	{image.ErrNoDelete, "use the registry's own pages or API, as for GHCR and Docker Hub; a registry of your own may have to allow it (distribution: storage.delete.enabled)"},
	{image.ErrOtherRegistry, "`bpfimg copy SOURCE TARGET` sends it through this machine"},
	{image.ErrNotMounted, "`bpfimg copy SOURCE TARGET` sends it through this machine"},
	{image.ErrUnauthorized, "log in with `bpfimg login`, `docker login` or `podman login`: they share their credentials"},
}

func registryHint(err error) string {
	for _, row := range registryHints {
		if errors.Is(err, row.cause) {
			return row.hint
		}
	}
	return ""
}

// verifierTail is how many lines of a verifier log are shown; the whole log is
// in the file the error names.
const verifierTail = 12

// fail prints err, if any, the way a person at 3 a.m. wants to read it, and
// returns the exit code.
func (t *terminal) fail(err error) int {
	if err == nil {
		err = t.lost()
	}
	if err == nil {
		return exitDone
	}
	t.complain(err)
	return exitCode(err)
}

// complain prints err and what to do about it.
func (t *terminal) complain(err error) {
	var kernel *bpf.KernelError
	if errors.As(err, &kernel) && kernel.Log != "" {
		fmt.Fprintln(t.err, "verifier log, last lines:")
		for _, line := range lastLines(kernel.Log, verifierTail) {
			fmt.Fprintln(t.err, "  "+safe(line))
		}
		if kernel.LogFile != "" {
			fmt.Fprintln(t.err, "whole log:", safe(kernel.LogFile))
		}
	}
	fmt.Fprintln(t.err, "error:", safe(joined.Text(err)))
	if h := hint(err); h != "" {
		fmt.Fprintln(t.err, "hint:", h)
	}
}

func lastLines(text string, n int) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}
