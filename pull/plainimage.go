// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"encoding/binary"
)

// Where an ELF header says which machine its code is for, and what it says of
// BPF (System V ABI, "ELF Header"; EM_BPF of linux/elf-em.h).
const (
	elfMachineOffset = 18
	elfMachineBPF    = 247
	elfDataOffset    = 5
	elfDataBig       = 2
)

// isBPF: the file says that it is an ELF file for the BPF machine.
func isBPF(data []byte) bool {
	if !bytes.HasPrefix(data, []byte(elfMagic)) || len(data) < elfMachineOffset+2 {
		return false
	}
	machine := data[elfMachineOffset:]
	if data[elfDataOffset] == elfDataBig {
		return binary.BigEndian.Uint16(machine) == elfMachineBPF
	}
	return binary.LittleEndian.Uint16(machine) == elfMachineBPF
}

// isPlainImage: a container image without any label of ours or another's, such
// as `crane append` and a Dockerfile of COPY alone make, whose root has objects.
// A program that was left in an ordinary container image is not taken for one:
// there are no links in ours, and every .o file must be for BPF.
func isPlainImage(c contents) bool {
	if c.manifest.ArtifactType != "" || len(c.config.diffIDs) == 0 {
		return false
	}
	objects, err := unpack(c, looseRules)
	if err != nil {
		return false
	}
	for _, o := range objects {
		if !isBPF(o.Bytes) {
			return false
		}
	}
	return true
}
