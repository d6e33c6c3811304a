// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/ownthread"
)

func TestNamespaceMount(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{`615 24 0:4 net:[4026532281] /run/netns/blue rw shared:333 - nsfs nsfs rw`, "/run/netns/blue"},
		{`615 24 0:4 net:[4026532281] /a\040b\134c rw - nsfs nsfs rw`, `/a b\c`},
		{`615 24 0:4 net:[4026532281] /a\09 rw - nsfs nsfs rw`, `/a\09`},
		{`615 24 0:4 mnt:[4026532281] /run/mnt rw - nsfs nsfs rw`, ""},
		{`24 1 8:1 / / rw - ext4 /dev/sda1 rw`, ""},
		{`24 1 8:1 net:[1]`, ""},
		{``, ""},
	} {
		if got, ok := namespaceMount(test.line); got != test.want || ok != (test.want != "") {
			t.Errorf("%s: %q, %t; want %q", test.line, got, ok, test.want)
		}
	}
}

// TestGoneNamespace: of a namespace whose file is gone nothing is known, and another
// file may lead to it.
func TestGoneNamespace(t *testing.T) {
	if ids, err := attachedIn(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, %v; want %v", ids, err, fs.ErrNotExist)
	}
}

// TestStaleKeepsHidden: a dispatcher is needed in a namespace without processes that
// is mounted at a place only its maker knows.
func TestStaleKeepsHidden(t *testing.T) {
	l := newBareLab(t)
	d := l.open(nil)
	prog, _, err := loadDispatcher(config{})
	check(t, err)
	folder := filepath.Join(l.bpffs, "xdp", folderName(1, idOf(t, prog)))
	check(t, os.Mkdir(folder, 0o700))
	at := filepath.Join(t.TempDir(), "a name")
	check(t, os.WriteFile(at, nil, 0o600))
	check(t, ownthread.Do(func() error { return hide(at, prog.FD()) }))
	check(t, prog.Close())
	stale, err := d.Stale(t.Context())
	if errors.Is(err, ErrBlind) {
		check(t, unix.Unmount(at, unix.MNT_DETACH))
		t.Skipf("SKIP-REASON: runs where every process is to be seen: %v", err)
	}
	if err != nil || len(stale) != 0 {
		t.Errorf("%q was removed, %v; it is attached in a namespace", stale, err)
	}
	check(t, unix.Unmount(at, unix.MNT_DETACH))
	stale, err = d.Stale(t.Context())
	check(t, err)
	if !slices.Equal(stale, []string{folder}) {
		t.Errorf("%q was removed, want %s: the namespace is gone", stale, folder)
	}
}

// hide attaches a program in a new network namespace that is mounted at a file. The
// thread stays there.
func hide(at string, prog int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("making a namespace: %w", err)
	}
	if err := setSlot(1, ModeGeneric, prog, -1); err != nil { // the loopback interface
		return fmt.Errorf("attaching: %w", err)
	}
	return unix.Mount("/proc/thread-self/ns/net", at, "", unix.MS_BIND, "")
}

// TestStaleGoesOn: a file of somebody else in one folder keeps nobody from the others.
func TestStaleGoesOn(t *testing.T) {
	l := newBareLab(t)
	d := l.open(nil)
	prog, _, err := loadDispatcher(config{})
	check(t, err)
	check(t, prog.Pin(filepath.Join(l.bpffs, "strange")))
	var folders []string
	for id := range uint32(3) { // in whatever order they are listed, one comes after
		folders = append(folders, filepath.Join(l.bpffs, "xdp", folderName(1, 4000000000+id)))
		check(t, os.Mkdir(folders[id], 0o700))
	}
	check(t, os.Rename(filepath.Join(l.bpffs, "strange"), filepath.Join(folders[1], "strange")))
	check(t, prog.Close())
	stale, err := d.Stale(t.Context())
	if errors.Is(err, ErrBlind) {
		t.Skipf("SKIP-REASON: runs where every process is to be seen: %v", err)
	}
	slices.Sort(stale)
	if err == nil || !slices.Equal(stale, []string{folders[0], folders[2]}) {
		t.Errorf("%q was removed, %v; want the first and the last of %q, and an error about the other one", stale, err, folders)
	}
}
