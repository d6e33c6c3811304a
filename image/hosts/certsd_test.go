// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCertDirs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files, want string // want begins an error, or lists what is found
	}{
		"all":      {"a.crt b.crt client.cert client.key README", "roots a.crt b.crt pairs client.cert+client.key"},
		"nothing":  {"README", "roots pairs"},
		"no key":   {"client.cert", "client.cert has no client.key beside it"},
		"only key": {"ca.key", "ca.key has no ca.cert beside it"},
		"others":   {"a.cert a.key b.cert b.key", "roots pairs a.cert+a.key b.cert+b.key"},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := t.TempDir(), t.TempDir()
			for _, dir := range []string{first, second} {
				if err := os.Mkdir(filepath.Join(dir, "host:5000"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, file := range strings.Fields(test.files) {
				if err := os.WriteFile(filepath.Join(first, "host:5000", file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			// The first folder counts alone.
			if err := os.WriteFile(filepath.Join(second, "host:5000", "x.crt"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := findCerts([]string{t.TempDir(), first, second}, "host:5000")
			got := "roots"
			for _, root := range f.roots {
				got += " " + filepath.Base(root)
			}
			got += " pairs"
			for _, pair := range f.pairs {
				got += " " + filepath.Base(pair[0]) + "+" + filepath.Base(pair[1])
			}
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if f, err := findCerts([]string{t.TempDir()}, "host"); err != nil || len(f.roots) != 0 {
		t.Errorf("no folder: %v, %v", f, err)
	}
}

// TestPrivateKeys: a key everybody can read is refused; a group may.
func TestPrivateKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: true, 0o644: false, 0o604: false, 0o602: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := checkPrivate(path); (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}
