// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"errors"

	"github.com/bpfimg/bpfimg/schemas"
)

// MaxObject is the largest object accepted, in bytes. The largest known BPF
// objects (Cilium's datapath) are below 4 MiB.
const MaxObject = 32 << 20

// ErrNotBPF: the bytes are not a BPF ELF object; the message says what they are.
var ErrNotBPF = errors.New("not a BPF object")

// Object describes the ELF file in data; name is its base name.
func Object(name string, data []byte) (schemas.Object, error) {
	return schemas.Object{}, errors.New("not implemented")
}
