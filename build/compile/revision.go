// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

const (
	gitTimeout = 30 * time.Second
	maxGitText = 1 << 20 // bytes kept of what git prints
)

// DirtySuffix ends a [Report].Revision that the sources differ from, as docker
// buildx writes it.
const DirtySuffix = "-dirty"

// readRevision asks git which commit the sources are of. That there is none, or
// no git, is no failure.
func (j *job) readRevision(ctx context.Context) {
	program := j.inPath("git")
	if program == "" {
		return
	}
	g := git{job: j, path: program, dir: j.folder}
	top, err := g.ask(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		if !strings.Contains(err.Error(), "not a git repository") {
			fmt.Fprintf(j.log, "no source revision: %v\n", err)
		}
		return
	}
	commit, err := g.ask(ctx, "rev-parse", "--verify", "HEAD")
	if err != nil || !isCommit().MatchString(commit) {
		fmt.Fprintln(j.log, "no source revision: the repository has no commit")
		return
	}
	dirty, err := g.dirty(ctx, top)
	if err != nil {
		fmt.Fprintf(j.log, "no source revision: %v\n", err)
		return
	}
	if !dirty && !g.tracks(ctx) {
		return // the repository ignores them: they are not of its commits
	}
	j.report.Revision = commit
	if dirty {
		j.report.Revision += DirtySuffix
	}
	if origin, err := g.ask(ctx, "remote", "get-url", "origin"); err == nil {
		j.report.Remote = publicURL(origin)
	}
}

// isCommit is a SHA-1 or SHA-256 object name.
var isCommit = lazyregexp.New(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// git is the program, the job that runs it and the folder it is run in.
type git struct {
	*job
	path, dir string
	// off are the arguments that switch the repository's filters off.
	off []string
}

// ask runs git and returns its first [maxGitText] bytes less the line end. It runs
// neither hooks nor a file system monitor of the repository's configuration, and
// writes nothing.
func (g git) ask(ctx context.Context, args ...string) (string, error) {
	out, complaint := &head{max: maxGitText}, &head{max: maxVersionText}
	c := command{
		words:   slices.Concat([]string{g.path, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"}, g.off, args),
		dir:     g.dir,
		env:     g.environment("GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_LITERAL_PATHSPECS=1"),
		timeout: min(gitTimeout, g.timeout), stdout: out, stderr: complaint,
	}
	if err := c.run(ctx); err != nil {
		if said := firstLine(complaint.data); said != "" {
			return "", fmt.Errorf("git %s: %s", args[0], said)
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(string(out.data), "\n"), nil
}

// dirty: a file that was compiled is changed or new, or the submodule it is in
// is at another commit.
func (g git) dirty(ctx context.Context, top string) (bool, error) {
	for _, repository := range append([]string{top}, g.nested(top)...) {
		g.dir = repository
		if dirty, err := g.changed(ctx); dirty || err != nil {
			return dirty, err
		}
	}
	return false, nil
}

// nested are the repositories below top, such as submodules, with files that were
// compiled. Git itself would look into all of them with their own configuration.
func (g git) nested(top string) []string {
	var found []string
	for _, file := range g.compiled(top) {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			repository := filepath.Join(top, filepath.FromSlash(dir))
			if exists(filepath.Join(repository, ".git")) && !slices.Contains(found, repository) {
				found = append(found, repository)
			}
		}
	}
	return found
}

// changed is dirty of the repository g is at the top of. Ignored files are not: a
// vmlinux.h that is generated would make every build dirty.
func (g git) changed(ctx context.Context) (bool, error) {
	var err error
	if g.off, err = g.filtersOff(ctx); err != nil {
		return false, err
	}
	out, err := g.ask(ctx, "status", "--porcelain", "-z", "--untracked-files=all", "--ignore-submodules=dirty")
	if err != nil {
		return false, err
	}
	if len(out) >= maxGitText {
		return true, nil // cut off; with so many changes, one of ours is likely among them
	}
	compiled := g.compiled(g.dir)
	for _, change := range changes(out) {
		for _, path := range compiled {
			if path == change || strings.HasPrefix(path, change+"/") {
				return true, nil
			}
		}
	}
	return false, nil
}

// filtersOff are arguments that take the programs from the repository's filters
// (gitattributes(5), "filter"), which git would run on the files it compares.
func (g git) filtersOff(ctx context.Context) ([]string, error) {
	out, err := g.ask(ctx, "config", "--null", "--name-only", "--list")
	if err != nil {
		return nil, err
	}
	var off []string
	for _, key := range strings.Split(out, "\x00") {
		switch {
		case !strings.HasPrefix(key, "filter."):
		case strings.Contains(key, "=") || len(out) >= maxGitText:
			return nil, errors.New("git config: too many filters, or with names that cannot be switched off")
		case strings.HasSuffix(key, ".required"):
			off = append(off, "-c", key+"=false")
		default:
			off = append(off, "-c", key+"=")
		}
	}
	return off, nil
}

// changes are the paths in `git status --porcelain -z`: two letters, a space, the
// path; after a rename or copy, the path it had.
func changes(status string) []string {
	var paths []string
	fields := strings.Split(status, "\x00")
	for i := 0; i < len(fields); i++ {
		if len(fields[i]) < 4 {
			continue
		}
		paths = append(paths, strings.TrimSuffix(fields[i][3:], "/"))
		if strings.ContainsAny(fields[i][:2], "RC") {
			i++
		}
	}
	return paths
}

// tracks: all sources are known to git.
func (g git) tracks(ctx context.Context) bool {
	args := []string{"ls-files", "--error-unmatch", "--"}
	for _, s := range g.sources {
		args = append(args, argument(s))
	}
	_, err := g.ask(ctx, args...)
	return err == nil
}

// compiled are the files below top that the compiler read, relative to top.
func (g git) compiled(top string) []string {
	folder, err := filepath.EvalSymlinks(g.folder)
	if err != nil {
		folder = g.folder
	}
	var paths []string
	for _, o := range g.report.Objects {
		for _, f := range o.Files {
			path := f.Path
			if !filepath.IsAbs(path) {
				path = filepath.Join(folder, path)
			}
			if rel, err := filepath.Rel(filepath.FromSlash(top), path); err == nil && filepath.IsLocal(rel) {
				paths = append(paths, filepath.ToSlash(rel))
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// scpLike is git's short form of an ssh URL, user@host:path.
var scpLike = lazyregexp.New(`^([A-Za-z0-9._-]+)@([A-Za-z0-9.-]+):([^/].*)$`)

// publicURL is a remote's URL without what must not be published: user and
// password (the user of ssh stays, it is no secret), query and fragment. Paths
// of this machine mean nothing elsewhere and give "".
func publicURL(remote string) string {
	if m := scpLike().FindStringSubmatch(remote); m != nil {
		remote = "ssh://" + m[1] + "@" + m[2] + "/" + m[3]
	}
	u, err := url.Parse(remote)
	if err != nil || u.Host == "" {
		return ""
	}
	switch u.Scheme {
	case "http", "https", "git":
		u.User = nil
	case "ssh":
		if u.User != nil {
			u.User = url.User(u.User.Username())
		}
	default:
		return ""
	}
	u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = "", false, "", ""
	return u.String()
}
