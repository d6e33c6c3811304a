// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestKernelsDoc keeps the table of docs/kernels.md that of the code; -update
// writes it.
func TestKernelsDoc(t *testing.T) {
	const path, begin, end = "../../docs/kernels.md", "<!-- generated from the table of kernel features -->\n", "<!-- end -->\n"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks its markers", path)
	}
	want := head + begin + featuresTable() + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Errorf("%s is not what the code says; go test ./bpf/inspect -run TestKernelsDoc -update", path)
	}
}

func featuresTable() string {
	var b strings.Builder
	b.WriteString("\n| feature | since | source |\n|---|---|---|\n")
	rows := kernelFeatures()
	for _, f := range mapFlags {
		rows = append(rows, f.kernelFeature)
	}
	for _, f := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.name, f.since, f.source)
	}
	bySince := map[string][]string{}
	for name, since := range kfuncReleases {
		bySince[since] = append(bySince[since], "`"+name+"`")
	}
	b.WriteString("\n| kernel functions | since |\n|---|---|\n")
	for _, since := range slices.SortedFunc(maps.Keys(bySince), compareReleases) {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(slices.Sorted(slices.Values(bySince[since])), ", "), since)
	}
	return b.String() + "\n"
}
