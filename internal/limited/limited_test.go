// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package limited

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{4: "over the limit of 4 bytes", 5: "", 6: ""} {
		data, err := ReadFile(path, limit)
		switch {
		case want == "" && (err != nil || string(data) != "12345"):
			t.Errorf("limit %d: %q, %v", limit, data, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path)):
			t.Errorf("limit %d: %q, %v; want %q", limit, data, err, want)
		}
	}
	if _, err := ReadFile(path+".not", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	// Its size is said to be 0.
	if _, err := ReadFile("/proc/self/status", 10); err == nil && filepath.Separator == '/' {
		t.Error("a file without a size is not limited")
	}
}
