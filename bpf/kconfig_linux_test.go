// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf/features"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestKconfig: a program sees the kernel's configuration, and 0 for weak options
// it does not have.
func TestKconfig(t *testing.T) {
	b := newBench(t)
	if f, err := openConfig(); err != nil {
		t.Skip("SKIP-REASON: runs where the kernel's configuration can be read")
	} else {
		f.Close()
	}
	version, err := features.LinuxVersionCode()
	if err != nil {
		t.Fatal(err)
	}
	rec := b.start(verified(t, "x", "testdata/kconfig.bpf.o"), RunOptions{Name: "config", Attach: attachments(t, "look=xdp:"+dev+",mode=generic")})
	send(t, peer, 1)
	_, text := b.dump("config", ".bss")
	for _, want := range []string{fmt.Sprintf(`"version":%d,`, version), `"syscall":1,"net":1,`, `"nobody":0`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(text, `"hz":0,`) {
		t.Errorf("CONFIG_HZ is 0: %s", text)
	}
	_, values := b.dump("config", ".kconfig")
	if !strings.Contains(values, `"CONFIG_BPF_SYSCALL":true`) {
		t.Errorf("the map is not readable: %s", values)
	}
	b.stop(rec)
}

// TestKconfigMissing: before anything is loaded, and named.
func TestKconfigMissing(t *testing.T) {
	b := newBench(t)
	_, err := b.Run(t.Context(), verified(t, "x", "testdata/kconfigless.bpf.o"), RunOptions{Name: "config", Iface: dev})
	wantError(t, err, nil, "CONFIG_NOBODY_HAS_THIS", "built without")
	b.checkGone(schemas.Instance{Name: "config"})
}
