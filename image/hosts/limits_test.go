// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExactLimits: what is as large as it may be is taken, and a byte more is refused.
func TestExactLimits(t *testing.T) {
	t.Parallel()
	file := func(n int) string {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("# "+strings.Repeat("x", n-2)), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// noPEM is the complaint about what was read as a whole and holds no certificate.
	noPEM := func(err error, say string) error {
		if err != nil && strings.Contains(err.Error(), say) {
			return nil
		}
		return err
	}
	for _, row := range []struct {
		name  string
		limit int
		read  func(n int) error
	}{
		{"settings in a file", MaxSettings, func(n int) error {
			_, err := Load(file(n), Options{})
			return err
		}},
		{"settings", MaxSettings, func(n int) error {
			_, err := Parse("config.yaml", []byte("# "+strings.Repeat("x", n-2)))
			return err
		}},
		{"certificates to trust", maxPEM, func(n int) error {
			_, err := files{only: true, roots: []string{file(n)}}.pool()
			return noPEM(err, "holds no certificate in PEM form")
		}},
		{"a client's certificate", maxPEM, func(n int) error {
			_, err := loadPair(file(n), file(2))
			return noPEM(err, "failed to find any PEM data")
		}},
		{"a client's key", maxPEM, func(n int) error {
			_, err := loadPair(file(2), file(n))
			return noPEM(err, "failed to find any PEM data")
		}},
	} {
		if err := row.read(row.limit); err != nil {
			t.Errorf("%s of %d bytes, which is the limit: %v", row.name, row.limit, err)
		}
		want := fmt.Sprintf("over the limit of %d bytes", row.limit)
		if err := row.read(row.limit + 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of one byte more than %d: got %v, want %q", row.name, row.limit, err, want)
		}
	}
}
