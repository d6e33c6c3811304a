// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"fmt"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// membarrierGlobal is MEMBARRIER_CMD_GLOBAL (linux/membarrier.h).
const membarrierGlobal = 1

// waitForPackets returns when no processor is in a dispatcher any more that was
// attached before: a packet in it would pass by components whose links are gone.
// A driver takes a program up anew for every batch of packets, under the RCU read
// lock; membarrier(2) waits for all who hold that. It is refused where a processor
// runs without a tick (nohz_full), and by some filters of system calls; what changes a map of
// maps waits for the same.
func waitForPackets() {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		_ = waitByMap() // and else there is no way to wait
	}
}

// waitByMap waits as waitForPackets does: since Linux 5.0 (1ae80cf31938) the kernel
// waits for all programs that may see the old content of a map of maps.
func waitByMap() (err error) {
	inner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	in, err := ebpf.NewMap(inner)
	if err != nil {
		return fmt.Errorf("making a map: %w", err)
	}
	defer func() { err = joined.Errors(err, in.Close()) }()
	outer, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: inner})
	if err != nil {
		return fmt.Errorf("making a map of maps: %w", err)
	}
	defer func() { err = joined.Errors(err, outer.Close()) }()
	if err := outer.Put(uint32(0), in); err != nil {
		return fmt.Errorf("changing a map of maps: %w", err)
	}
	return nil
}
