// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package provenance

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.golden")

const (
	sumA   = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB   = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	commit = "0123456789abcdef0123456789abcdef01234567"
)

func given1() Input {
	return Input{
		Builder: "https://ci.example/builder", Version: "v1.2.3", Arguments: []string{"counter.bpf.o"},
		Flags: map[string][]string{"label": {"team=<net>"}, "platform": {"linux/amd64"}},
		Given: []schemas.Object{{File: "counter.bpf.o", Digest: sumA}},
	}
}

func compiled1() Input {
	header := compile.File{Path: "/usr/include/bpf/bpf_helpers.h", Digest: sumB, Size: 7}
	source := compile.File{Path: "counter.bpf.c", Digest: sumA, Size: 9}
	object := func(platform string) compile.Object {
		return compile.Object{
			Platform: platform, Name: "counter.bpf.o", Source: "counter.bpf.c", Files: []compile.File{source, header},
			Command:      []string{"clang", "-g", "-c", "counter.bpf.c", "-o", "/tmp/bpfimg-compile-123/0/counter.bpf.o"},
			StripCommand: []string{"llvm-strip", "-g", "/tmp/bpfimg-compile-123/0/counter.bpf.o"},
		}
	}
	return Input{
		Builder: DefaultBuilder + "@v1.2.3", Version: "v1.2.3", Arguments: []string{"."},
		File: &schemas.BuildFile{Name: "counter"},
		Report: &compile.Report{
			Clang: compile.Tool{Path: "/usr/bin/clang", Version: "clang version 19.1.7"}, Strip: compile.Tool{Path: "/usr/bin/llvm-strip", Version: "LLVM 19"},
			Revision: commit + compile.DirtySuffix, Remote: "https://git.example/net/counter",
			Objects: []compile.Object{object("linux/amd64"), object("linux/arm64")},
		},
		Invocation: "https://ci.example/runs/7", Started: time.Date(2026, 11, 21, 19, 0, 0, 5, time.FixedZone("x", 3600)),
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]Input{"given": given1(), "compiled": compiled1()} {
		t.Run(name, func(t *testing.T) {
			got, err := Predicate(in)
			if err != nil {
				t.Fatal(err)
			}
			var shown bytes.Buffer
			if err := json.Indent(&shown, got, "", "  "); err != nil {
				t.Fatal(err)
			}
			shown.WriteByte('\n')
			path := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(path, shown.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), shown.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, err := Predicate(in)
			if err != nil || !bytes.Equal(again, got) {
				t.Error("the same input gave other bytes")
			}
		})
	}
}

// TestRequired: what a verifier of SLSA provenance must find
// (slsa.dev/spec/v1.0/provenance, "Schema").
func TestRequired(t *testing.T) {
	t.Parallel()
	got, err := Predicate(given1())
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		BuildDefinition struct {
			BuildType          string          `json:"buildType"`
			ExternalParameters json.RawMessage `json:"externalParameters"`
			Dependencies       []struct {
				Digest map[string]string `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
			Metadata json.RawMessage `json:"metadata"`
		} `json:"runDetails"`
	}
	if err := json.Unmarshal(got, &p); err != nil {
		t.Fatal(err)
	}
	d := p.BuildDefinition
	if d.BuildType != BuildType || !strings.HasPrefix(string(d.ExternalParameters), "{") || p.RunDetails.Builder.ID != "https://ci.example/builder" {
		t.Errorf("%s", got)
	}
	if len(d.Dependencies) != 1 || "sha256:"+d.Dependencies[0].Digest["sha256"] != sumA {
		t.Errorf("dependencies %v", d.Dependencies)
	}
	if p.RunDetails.Metadata != nil {
		t.Errorf("metadata %s of a run that nothing is known of", p.RunDetails.Metadata)
	}
}

func TestBuilder(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "me", "://x"} {
		in := given1()
		in.Builder = id
		if _, err := Predicate(in); err == nil || !strings.Contains(err.Error(), "builder id") {
			t.Errorf("%q: error %v", id, err)
		}
	}
}
