// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// tooLong is when a command is taken for one that hangs. It only ends a test that
// fails.
const tooLong = 30 * time.Second

// TestNamedPipes: wherever a file of ours is a named pipe that nobody writes to, a
// command ends, with an error that names it if it needs it.
func TestNamedPipes(t *testing.T) {
	r := newAttackRig(t)
	manifest, err := r.store.Manifest(t.Context(), r.good)
	if err != nil {
		t.Fatal(err)
	}
	v := r.newVictim(t, "team/app")
	m := v.read(v.good)
	blob := func(d digest.Digest) string { return "store/blobs/sha256/" + d.Encoded() }
	object, err := filepath.Abs("../../examples/xdp-counter/counter.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	const image, remote = "localhost/attack/app:good", "REMOTE"
	for i, row := range []struct {
		name string
		// path is what is a named pipe, below the state folder unless it begins with ../.
		path     string
		commands []string
		// want is said by each command beside the path; "" for those that do without.
		want string
	}{
		{name: "index.json", path: "store/index.json", want: "not a regular file", commands: []string{
			"images", "inspect " + image, "tag " + image + " localhost/b:v1", "rm " + image, "prune", "push " + remote,
			"store check", "build -t localhost/b:v1 OBJECT", "pull " + remote, "inspect oci:FOLDER",
		}},
		{name: "index.json, asked of a registry", path: "store/index.json", commands: []string{
			"save -o x.tar " + remote, "tree " + remote, "verify --key cosign.pub " + remote, "copy " + remote + " oci:copied:a",
		}},
		{name: "oci-layout", path: "store/oci-layout", want: "not a regular file", commands: []string{"images", "inspect " + image, "pull " + remote, "inspect oci:FOLDER"}},
		{name: "lock", path: "store/.lock", want: "not a regular file", commands: []string{
			"tag " + image + " localhost/b:v1", "rm " + image, "prune --now", "pull " + remote,
		}},
		{name: "folder of unfinished writes", path: "store/tmp", want: "not a directory", commands: []string{"tag " + image + " localhost/b:v1", "pull " + remote}},
		{name: "folder of blobs", path: "store/blobs/sha256", want: "not a directory", commands: []string{"prune", "store check", "inspect " + image}},
		{name: "manifest", path: blob(manifest.Descriptor.Digest), want: "not a regular file", commands: []string{
			"inspect " + image, "tag " + image + " localhost/b:v1", "rm " + image, "prune --now",
		}},
		{name: "manifest, asked of a registry", path: blob(manifest.Descriptor.Digest), commands: []string{
			"images", "save -o x.tar " + remote, "verify --key cosign.pub " + remote,
		}},
		{name: "layer", path: blob(m.Layers[0].Digest), want: "not a regular file", commands: []string{"inspect " + image, "pull " + remote}},
		{name: "layer, checked", path: blob(m.Layers[0].Digest), want: "damaged", commands: []string{"store check"}},
		{name: "download that another process makes", path: "store/tmp/sha256-" + m.Layers[0].Digest.Encoded(), commands: []string{"pull " + remote}},
		{name: "lock on a download", path: "store/tmp/sha256-" + m.Layers[0].Digest.Encoded() + ".lock", commands: []string{"pull " + remote}},
		{name: "record of an instance", path: "instances/a.json", want: "not a regular file", commands: []string{"ps"}},
		{name: "logins", path: "../.docker/config.json", want: "not a regular file", commands: []string{"pull " + remote}},
		{name: "layout", path: "layout", want: "not a folder", commands: []string{"inspect oci:PATH"}},
		{name: "archive", path: "archive.tar", want: "not a regular file", commands: []string{"load -i PATH", "inspect oci-archive:PATH", "inspect docker-archive:PATH"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			root := fmt.Sprintf("root%d", i)
			if err := os.CopyFS(filepath.Join(r.dir, root), os.DirFS(filepath.Join(r.dir, "ci"))); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(r.dir, root, row.path)
			if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o700), syscall.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
			for _, command := range row.commands {
				args := strings.Fields(strings.NewReplacer(remote, v.ref.String(), "PATH", path, "FOLDER", filepath.Dir(path), "OBJECT", object).Replace(command))
				out := r.within(t, append([]string{"--root", root}, args...)...)
				name := filepath.Base(path)
				if row.want != "" && (out.code == exitDone && command != "ps" || !strings.Contains(out.stdout+out.stderr, row.want) || !strings.Contains(out.stdout+out.stderr, name)) {
					t.Errorf("%s: exit code %d, want %q and %q:\n%s%s", command, out.code, row.want, name, out.stdout, out.stderr)
				}
			}
		})
	}
}

// within runs bpfimg, which must not hang.
func (r *attackRig) within(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), tooLong)
	defer cancel()
	var said strings.Builder
	cmd := exec.CommandContext(ctx, "bpfimg", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.dir, &said, &said
	cmd.Env = append(os.Environ(), "HOME="+r.dir, "BPFIMG_POLICY=", "BPFIMG_BPFFS="+filepath.Join(r.dir, "bpffs"))
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Errorf("bpfimg %s: %v, %v:\n%s", strings.Join(args, " "), err, ctx.Err(), said.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), said.String(), ""}
}
