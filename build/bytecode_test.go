// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"os"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

func TestBytecodeType(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ kernel, section, want string }{
		{"xdp", "xdp.frags", "xdp"},
		{"sched_cls", "tc/ingress", "tc"},
		{"sched_cls", "classifier", "tc"},
		{"sched_cls", "?tcx/egress", "tcx"},
		{"tracepoint", "tp/sched/sched_switch", "tracepoint"},
		{"kprobe", "kprobe/f", "kprobe"},
		{"kprobe", "ksyscall/open", "kprobe"},
		{"kprobe", "kretprobe.multi/f*", "kretprobe"},
		{"kprobe", "kretsyscall/open", "kretprobe"},
		{"kprobe", "uprobe.s//bin/sh:main", "uprobe"},
		{"kprobe", "uretprobe", "uretprobe"},
		{"kprobe", "usdt", "uprobe"},
		{"tracing", "fentry.s/f", "fentry"},
		{"tracing", "fexit/f", "fexit"},
		{"tracing", "iter/task", "tracing"},
		{"lsm", "lsm.s/file_open", "lsm"},
		{"cgroup_skb", "cgroup_skb/egress", "cgroup_skb"},
	} {
		if got := bytecodeType(schemas.Program{Type: tc.kernel, Section: tc.section}); got != tc.want {
			t.Errorf("type %s in section %s is called %q, want %q", tc.kernel, tc.section, got, tc.want)
		}
	}
}

// TestBytecodeTypesInTheSpecification: docs/spec.md has a row for each of ours.
func TestBytecodeTypesInTheSpecification(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile("../docs/spec.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range bytecodeTypes {
		found := false
		for line := range strings.Lines(string(spec)) {
			cells := strings.Split(line, " | ")
			if len(cells) != 3 || cells[0] != "| `"+row.kernel+"`" || cells[2] != "`"+row.word+"` |\n" {
				continue
			}
			found = found || strings.Contains(cells[1], "`"+row.section+"`") || row.section == "" && cells[1] == "others"
		}
		if !found {
			t.Errorf("docs/spec.md lacks %+v", row)
		}
	}
}
