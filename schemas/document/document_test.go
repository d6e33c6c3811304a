// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package document

import (
	"reflect"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// keys are what [Decode] is told that a build file knows.
var keys = map[string]string{"BuildFile": "name, version"}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       schemas.BuildFile
		refused    string
	}{
		{"document", "name: a\nversion: v1\n", schemas.BuildFile{Name: "a", Version: "v1"}, ""},
		{"empty", "", schemas.BuildFile{}, ""},
		{"comments only", "# nothing\n", schemas.BuildFile{}, ""},
		{"explicit start", "---\nname: a\n", schemas.BuildFile{Name: "a"}, ""},
		{"unknown key", "name: a\nnmae: b\n", schemas.BuildFile{}, `line 2: unknown key "nmae"; known here: name, version`},
		{"other letters", "Name: a\n", schemas.BuildFile{}, `line 1: unknown key "Name"`},
		{"key twice", "name: a\nname: b\n", schemas.BuildFile{}, "already defined at line 1"},
		{"second document", "name: a\n---\nname: b\n", schemas.BuildFile{}, "line 2: a second document begins"},
		{"second document, broken", "name: a\n---\n{", schemas.BuildFile{}, "line 3"},
		{"another type", "name: [a]\n", schemas.BuildFile{}, "line 1"},
		{"no YAML", "name: {\n", schemas.BuildFile{}, "line "},
		{"alias of nothing", "name: *a\n", schemas.BuildFile{}, "unknown anchor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got schemas.BuildFile
			err := Decode([]byte(tt.text), &got, keys)
			if tt.refused == "" {
				if err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %+v and %v, want %+v", got, err, tt.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.refused) {
				t.Fatalf("error %v, want one with %q", err, tt.refused)
			}
			for _, ours := range []string{"\n", "schemas.", "yaml:"} {
				if strings.Contains(err.Error(), ours) {
					t.Errorf("error %q has %q in it", err, ours)
				}
			}
		})
	}
}

// An empty document leaves what was there.
func TestDecodeKeepsDefaults(t *testing.T) {
	got := schemas.BuildFile{Name: "kept", Version: "v1"}
	if err := Decode([]byte("version: v2\n"), &got, keys); err != nil || got.Name != "kept" || got.Version != "v2" {
		t.Errorf("got %+v and %v", got, err)
	}
}

// FuzzDecode: whatever people write, an error is one line in plain words.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nprograms:\n  x: {attach: xdp}\n"))
	f.Add([]byte("a: &a [x]\nb: *a\n---\n"))
	f.Add([]byte("name: !!binary eA==\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got schemas.BuildFile
		if err := Decode(data, &got, keys); err != nil && strings.Contains(err.Error(), "schemas.") {
			t.Errorf("error %q names a type of Go", err)
		}
	})
}
