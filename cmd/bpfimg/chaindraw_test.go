// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf"
)

var updateChains = flag.Bool("update", false, "write the drawings of testdata/chain anew")

// TestDrawChain draws the documents of testdata/chain, as one interface and as all
// of them, and compares with the .txt beside them.
func TestDrawChain(t *testing.T) {
	documents, err := filepath.Glob("testdata/chain/*.json")
	if err != nil || len(documents) == 0 {
		t.Fatal(documents, err)
	}
	for _, document := range documents {
		t.Run(filepath.Base(document), func(t *testing.T) {
			data, err := os.ReadFile(document)
			if err != nil {
				t.Fatal(err)
			}
			var chains bpf.Chains
			decoder := json.NewDecoder(bytes.NewReader(data))
			decoder.DisallowUnknownFields() // the names are promised to scripts
			if err := decoder.Decode(&chains); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			term := &terminal{out: &out, err: &out}
			for _, one := range []bool{true, false} {
				if err := showChains(term, chains, one); err != nil {
					t.Fatal(err)
				}
				out.WriteString("--\n")
			}
			if i := strings.IndexFunc(out.String(), func(r rune) bool { return r != '\n' && safe(string(r)) != string(r) }); i >= 0 {
				t.Errorf("not escaped: %q", out.String()[i:])
			}
			golden := strings.TrimSuffix(document, ".json") + ".txt"
			if *updateChains {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || string(want) != out.String() {
				t.Errorf("%v: drawn:\n%s\nwant:\n%s", err, out.String(), want)
			}
		})
	}
}

// TestAllRunsText tells a program that did not run from one that is not counted.
func TestAllRunsText(t *testing.T) {
	for want, st := range map[string]bpf.Status{
		"-":  {Counting: true}, // called by a dispatcher
		"0":  {Counting: true, Runs: []bpf.ProgramRuns{{}}},
		"12": {Runs: []bpf.ProgramRuns{{Count: 5}, {Count: 7}}},
	} {
		if got, _ := allRunsText(st); got != want {
			t.Errorf("%+v: %s, want %s", st, got, want)
		}
	}
	if got, _ := allRunsText(bpf.Status{Runs: []bpf.ProgramRuns{{}}}); got != "-" {
		t.Errorf("without counting: %s", got)
	}
}
