// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/internal/limited"
)

// TestExactLimits: what is as large as it may be is taken, and a byte more is refused.
// It is not parallel, as the helper is found by the PATH of this process.
func TestExactLimits(t *testing.T) {
	p := newPerson(t)
	helped := newPerson(t)
	helped.helper("keeps")
	padded := func(text string, n int) string { return text + strings.Repeat(" ", n-len(text)) }
	for _, row := range []struct {
		name  string
		limit int
		read  func(n int) error
	}{
		{"a file", maxFile, func(n int) error {
			_, err := readFile(p.file("config.json", padded(auths("a.example", "user"), n)))
			return err
		}},
		{"a variable", maxFile, func(n int) error {
			_, err := parseFile("DOCKER_AUTH_CONFIG", []byte(padded("{}", n)))
			return err
		}},
		{"a helper's answer", maxHelper, func(n int) error {
			helped.file("kept-a.example", padded(`{"Username":"user","Secret":"s"}`, n))
			auth, err := helperGet(t.Context(), "keeps", "a.example")
			if err == nil && auth == nil {
				t.Error("the helper has nothing: this row sees nothing")
			}
			return err
		}},
	} {
		if err := row.read(row.limit); err != nil {
			t.Errorf("%s of %d bytes, which is the limit: %v", row.name, row.limit, err)
		}
		want := fmt.Sprintf("%d bytes", row.limit)
		if err := row.read(row.limit + 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of one byte more than %d: got %v, want %q", row.name, row.limit, err, want)
		}
	}
}

// TestNoFile: the empty device says that there are no logins; other things that are no
// files are not waited for.
func TestNoFile(t *testing.T) {
	if f, err := readFile(os.DevNull); err != nil || len(f.auths) != 0 {
		t.Errorf("%s: %v", os.DevNull, err)
	}
	if _, err := readFile(t.TempDir()); !errors.Is(err, limited.ErrNotRegular) {
		t.Errorf("a folder: %v", err)
	}
}
