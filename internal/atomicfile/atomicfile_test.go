// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
)

// old is a file with the content "old" in a folder of its own.
func old(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantOnly checks that the file holds want and nothing is beside it.
func wantOnly(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the file holds %.20q (%v), want %q", got, err, want)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("the folder holds %v", entries)
	}
}

// TestWrite: content and mode, of a new file and in the place of an old one.
func TestWrite(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(string, []byte, fs.FileMode) error
	}{{"at once", Write}, {"durably", WriteDurably}} {
		for _, mode := range []fs.FileMode{0o600, 0o644, 0o666} {
			t.Run(tt.name+" "+mode.String(), func(t *testing.T) {
				path := old(t)
				for _, content := range []string{"new", "", "newer"} {
					if err := tt.write(path, []byte(content), mode); err != nil {
						t.Fatal(err)
					}
					wantOnly(t, path, content)
				}
				if info, err := os.Stat(path); runtime.GOOS != "windows" && (err != nil || info.Mode() != mode) {
					t.Errorf("mode %v (%v), want %v", info.Mode(), err, mode)
				}
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := tt.write(path, []byte("first"), mode); err != nil {
					t.Fatal(err)
				}
				wantOnly(t, path, "first")
			})
		}
	}
}

// TestLinkIsReplaced: what it pointed to stays as it was.
func TestLinkIsReplaced(t *testing.T) {
	target, link := old(t), filepath.Join(t.TempDir(), "file")
	if err := os.Symlink(target, link); err != nil {
		t.Skip("SKIP-REASON: no symbolic links here: ", err)
	}
	if err := Write(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, target, "old")
	wantOnly(t, link, "new")
	if info, err := os.Lstat(link); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v (%v)", info, err)
	}
}

// TestSteps: which steps are taken in which order, and what is there after each of
// them has failed.
func TestSteps(t *testing.T) {
	broken := errors.New("broken")
	all := []string{"sync file", "rename", "sync folder"}
	for _, tt := range []struct {
		name    string
		durably bool
		fails   string
		took    []string
		want    string
	}{
		{"durably", true, "", all, "new"},
		{"not durably", false, "", []string{"rename"}, "new"},
		{"syncing fails", true, "sync file", all[:1], "old"},
		{"renaming fails", true, "rename", all[:2], "old"},
		{"renaming fails, not durably", false, "rename", []string{"rename"}, "old"},
		{"syncing the folder fails", true, "sync folder", all, "new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := old(t)
			var took []string
			step := func(name string) error {
				if took = append(took, name); name == tt.fails {
					return broken
				}
				return nil
			}
			s := steps{
				syncFile: func(f *os.File) error {
					if got, err := os.ReadFile(f.Name()); err != nil || string(got) != "new" {
						t.Errorf("synced with %q (%v) in it", got, err)
					}
					return step("sync file")
				},
				rename: func(from, to string) error {
					if ok, err := filepath.Match(Leftovers, filepath.Base(from)); err != nil || !ok || filepath.Dir(from) != filepath.Dir(to) {
						t.Errorf("%s is renamed to %s", from, to)
					}
					if err := step("rename"); err != nil {
						return err
					}
					return os.Rename(from, to)
				},
				syncFolder: func(dir string) error {
					if dir != filepath.Dir(path) {
						t.Errorf("%s is synced", dir)
					}
					return step("sync folder")
				},
			}
			replaced, err := s.write(path, []byte("new"), 0o600, tt.durably)
			if (tt.fails == "") != (err == nil) || tt.fails != "" && !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
			if replaced != (tt.want == "new") {
				t.Errorf("replaced: %v", replaced)
			}
			if !slices.Equal(took, tt.took) {
				t.Errorf("took %q, want %q", took, tt.took)
			}
			wantOnly(t, path, tt.want)
		})
	}
}

// TestFolderInThePlace cannot be replaced, nor is anything left of the attempt.
func TestFolderInThePlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder")
	if err := os.MkdirAll(filepath.Join(path, "within"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteDurably(path, []byte("new"), 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), Leftovers)); err != nil || len(left) != 0 {
		t.Errorf("left: %q (%v)", left, err)
	}
}

func TestNoFolder(t *testing.T) {
	if err := Write(filepath.Join(t.TempDir(), "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := SyncFolder(filepath.Join(t.TempDir(), "none")); runtime.GOOS != "windows" && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("syncing: %v", err)
	}
}
