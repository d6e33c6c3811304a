// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// cgroupLine is the list of a cgroup's programs for outgoing packets.
func cgroupLine(t *testing.T, dir string) *line {
	t.Helper()
	if !haveCgroupOrder() {
		t.Skip("SKIP-REASON: needs a kernel with order in cgroups (Linux 6.17)")
	}
	f := must[*os.File](t)(os.Open(dir))
	t.Cleanup(func() { _ = f.Close() })
	return &line{
		t: t, host: &host{}, hook: "cgroup_skb", target: dir,
		spec:    ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress},
		options: map[string]string{"direction": "egress"},
		query:   queried(t, link.QueryOptions{Target: int(f.Fd()), Attach: ebpf.AttachCGroupInetEgress}),
	}
}
