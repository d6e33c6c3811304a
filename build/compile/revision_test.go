// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// repository is a git repository with a source folder in it.
type repository struct {
	t      *testing.T
	dir    string
	source string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIP-REASON: runs where git is installed")
	}
	needsClang(t)
	r := &repository{t: t, dir: t.TempDir()}
	t.Setenv("HOME", r.dir) // nobody's configuration
	t.Setenv("XDG_CONFIG_HOME", r.dir)
	r.source = filepath.Join(r.dir, "src with space")
	write(t, r.dir, map[string]string{
		"src with space/counter.bpf.c": strings.Replace(counter, `"counter.h"`, "\"counter.h\"\n#include \"vmlinux.h\"\n#include \"../lib/lib.h\"", 1),
		"src with space/counter.h":     counterHeader, "src with space/vmlinux.h": "", "lib/lib.h": "", "README": "", ".gitignore": "vmlinux.h\n",
	})
	r.git("init", "-q")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", r.dir, "-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repository) compile() Report {
	r.t.Helper()
	_, report, err := Compile(r.t.Context(), Options{Folder: r.source})
	if err != nil {
		r.t.Fatal(err)
	}
	return report
}

func (r *repository) want(why, revision string) {
	r.t.Helper()
	if got := r.compile().Revision; got != revision {
		r.t.Errorf("%s: revision %q, want %q", why, got, revision)
	}
}

func TestRevision(t *testing.T) {
	r := newRepository(t)
	r.want("no commit", "")
	r.git("add", ".")
	r.git("commit", "-qm", "one")
	head := r.git("rev-parse", "HEAD")
	r.want("clean", head)
	write(t, r.dir, map[string]string{"README": "changed", "src with space/new.o": "", "src with space/vmlinux.h": "struct changed;"})
	r.want("only what was not compiled, or is ignored, differs", head)
	write(t, r.dir, map[string]string{"lib/lib.h": "struct changed;"})
	r.want("a header differs", head+DirtySuffix)
	r.git("checkout", "-q", "lib")
	write(t, r.dir, map[string]string{"src with space/second.bpf.c": "int x;"})
	r.want("a new source", head+DirtySuffix)
	// A repository that ignores the sources is not where they are from.
	r.git("rm", "-rq", "--cached", "src with space")
	write(t, r.dir, map[string]string{".gitignore": "*\n"})
	r.git("add", "-f", ".gitignore")
	r.git("commit", "-qm", "two")
	r.want("ignored", "")
}

func TestRevisionRunsNothing(t *testing.T) {
	r := newRepository(t)
	r.git("add", ".")
	r.git("commit", "-qm", "one")
	hook := script(t, "hook", "touch "+quote(filepath.Join(r.dir, "pwned")))
	r.git("config", "core.fsmonitor", hook)
	r.git("config", "core.pager", hook)
	// A filter is run on files whose times differ from those of the index.
	r.git("config", "filter.One.clean", hook)
	r.git("config", "filter.One.required", "true")
	r.git("config", "filter.other.process", hook)
	write(t, r.dir, map[string]string{".git/info/attributes": "*.c filter=other\n*.h filter=One\n"})
	for _, name := range []string{"counter.bpf.c", "counter.h"} {
		if err := os.Chtimes(filepath.Join(r.source, name), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	r.git("config", "remote.origin.url", "https://user:secret@git.example/a/b.git?token=x")
	report := r.compile()
	if report.Remote != "https://git.example/a/b.git" || report.Revision != r.git("rev-parse", "HEAD") {
		t.Errorf("%q %q", report.Remote, report.Revision)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "pwned")); err == nil {
		t.Error("a program of the repository's configuration was run")
	}
}

// TestRevisionOfSubmodule: headers in a submodule count as the submodule does.
func TestRevisionOfSubmodule(t *testing.T) {
	r := newRepository(t)
	other := filepath.Join(t.TempDir(), "other")
	r.git("init", "-q", other)
	write(t, other, map[string]string{"lib.h": ""})
	r.git("-C", other, "add", ".")
	r.git("-C", other, "commit", "-qm", "one")
	if err := os.RemoveAll(filepath.Join(r.dir, "lib")); err != nil {
		t.Fatal(err)
	}
	r.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", other, "lib")
	r.git("add", ".")
	r.git("commit", "-qm", "one")
	head := r.git("rev-parse", "HEAD")
	r.want("clean", head)
	pwned := filepath.Join(r.dir, "pwned")
	r.git("-C", "lib", "config", "filter.own.clean", script(t, "own", "touch "+quote(pwned)))
	write(t, r.dir, map[string]string{"lib/lib.h": "struct changed;", ".git/modules/lib/info/attributes": "*.h filter=own\n"})
	r.want("changed", head+DirtySuffix)
	if _, err := os.Stat(pwned); err == nil {
		t.Error("a program of the submodule's configuration was run")
	}
	r.git("-C", "lib", "config", "--unset", "filter.own.clean")
	r.git("-C", "lib", "commit", "-qam", "two")
	r.want("another commit of it", head+DirtySuffix)
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"https://git.example/a/b.git":               "https://git.example/a/b.git",
		"https://token@git.example/a":               "https://git.example/a",
		"https://u:p@git.example:8443/a?x=secret#y": "https://git.example:8443/a",
		"git@git.example:a/b.git":                   "ssh://git@git.example/a/b.git",
		"ssh://git:secret@git.example:22/a":         "ssh://git@git.example:22/a",
		"git://git.example/a":                       "git://git.example/a",
		"/srv/git/a.git":                            "",
		"file:///srv/git/a.git":                     "",
		"../a":                                      "",
		"ext::sh -c 'touch pwned'":                  "",
		"https://u:p@h/%zz":                         "",
		"":                                          "",
		"C:\\git\\a":                                "",
	} {
		if got := publicURL(remote); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	got := strings.Join(changes(" M a b\x00R  new\x00old\x00?? dir/\x00C  x\x00y\x00MM z\x00"), "|")
	if got != "a b|new|dir|x|z" {
		t.Error(got)
	}
}

func TestVersionText(t *testing.T) {
	t.Parallel()
	if got := firstLine([]byte("\n Debian clang\x1b[2J version 1é\nTarget: x\n")); !regexp.MustCompile(`^Debian clang\?\[2J version 1\?$`).MatchString(got) {
		t.Errorf("%q", got)
	}
	if got := firstLine([]byte(strings.Repeat("x", 9999))); len(got) != maxVersionLine {
		t.Errorf("%d bytes", len(got))
	}
}
