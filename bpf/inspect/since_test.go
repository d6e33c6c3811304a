// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// TestHelperSince checks a few against the commits that added them, at both ends
// of a release.
func TestHelperSince(t *testing.T) {
	for name, want := range map[string]string{
		"map_lookup_elem": "3.19", "map_delete_elem": "3.19", "probe_read": "4.1", "tail_call": "4.2",
		"get_current_task": "4.8", "csum_update": "4.9", "redirect_map": "4.14", "bind": "4.17", "xdp_adjust_tail": "4.18",
		"sk_storage_get": "5.2", "send_signal": "5.3", "tcp_gen_syncookie": "5.4", "skb_output": "5.5", "jiffies64": "5.6",
		"read_branch_records": "5.7", "ktime_get_boot_ns": "5.8", "ringbuf_output": "5.8", "csum_level": "5.8",
		"skc_to_tcp6_sock": "5.9", "copy_from_user": "5.10", "task_storage_get": "5.11", "snprintf": "5.13", "sys_bpf": "5.14",
		"timer_init": "5.15", "get_attach_cookie": "5.15", "trace_vprintk": "5.16", "loop": "5.17", "get_retval": "5.18",
		"kptr_xchg": "5.19", "ktime_get_tai_ns": "6.1", "cgrp_storage_delete": "6.2",
	} {
		n := slices.Index(helperNames[:], name)
		if got := HelperSince(int64(n)); n < 0 || got != want {
			t.Errorf("%s (%d): %q, want %q", name, n, got, want)
		}
	}
	for _, n := range []int64{-1, 0, int64(len(helperNames)), 1 << 40} {
		if got := HelperSince(n); got != "" {
			t.Errorf("%d: %q", n, got)
		}
	}
	if last := helperReleases[len(helperReleases)-1].last; last != int64(len(helperNames))-1 {
		t.Errorf("the releases end at %d, the names at %d", last, len(helperNames)-1)
	}
}

// TestKfuncsSince: what programs of schedulers, of signed files and of tunnels call
// is newer than calls of kernel functions are.
func TestKfuncsSince(t *testing.T) {
	for name, want := range map[string]string{
		"bpf_cpumask_create": "6.3", "bpf_cpumask_weight": "6.8", "bpf_verify_pkcs7_signature": "6.1", "bpf_crypto_encrypt": "6.10",
		"bpf_skb_set_fou_encap": "6.4", "bpf_ct_set_nat_info": "6.1", "bpf_percpu_obj_new_impl": "6.7",
	} {
		n := needs{}
		call := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall, Constant: -1}
		n.ofCalls(asm.Instructions{call.WithReference(name)}, nil)
		if got := n.minKernel(); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestMapTypeSince(t *testing.T) {
	for name, want := range map[string]string{
		"hash": "3.19", "prog_array": "4.2", "lpm_trie": "4.11", "hash_of_maps": "4.12", "devmap": "4.14", "cpumap": "4.15",
		"reuseport_sockarray": "4.19", "stack": "4.20", "devmap_hash": "5.4", "struct_ops": "5.6", "ringbuf": "5.8",
		"task_storage": "5.11", "bloom_filter": "5.16", "user_ringbuf": "6.1", "arena": "6.9", "unspec": "", "nonsense": "",
	} {
		if got := MapTypeSince(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(mapTypeReleases) != len(mapTypes) {
		t.Errorf("%d releases for %d map types", len(mapTypeReleases), len(mapTypes))
	}
}
