// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Layout of a dispatcher's configuration, the only value of its only map. Numbers
// are those of the protocol; they are in the byte order of the machine, which is
// little-endian wherever the compiled dispatcher loads.
const (
	configMagic  = 236
	configSize   = 4 + 3*4*Slots // magic, version, enabled, frags; then three arrays
	configSizeV1 = 4 + 2*4*Slots // enabled and 3 bytes of padding; then two arrays
	configMax    = 4096          // bytes that are read of another's at most

	// flagFrags is BPF_F_XDP_HAS_FRAGS (linux/bpf.h), in a component's flags.
	flagFrags = 1 << 5
)

// errConfig says that bytes are not the configuration of a dispatcher.
var errConfig = errors.New("not the configuration of a dispatcher")

// config is what a dispatcher is told in its read-only data.
type config struct {
	version int
	frags   bool
	slots   []slotConfig // those in use, in order
}

// slotConfig is what a dispatcher knows of one component.
type slotConfig struct {
	proceedOn Actions // without the stubs' bit
	priority  uint32
	frags     bool
}

// encode writes c as version 2.
func (c config) encode() []byte {
	b := make([]byte, configSize)
	b[0], b[1], b[2] = configMagic, Version, uint8(len(c.slots))
	if c.frags {
		b[3] = 1
	}
	for i, s := range c.slots {
		put := func(array int, v uint32) {
			binary.LittleEndian.PutUint32(b[4+4*(array*Slots+i):], v)
		}
		put(0, uint32(s.proceedOn|proceedOnStub))
		put(1, s.priority)
		if s.frags {
			put(2, flagFrags)
		}
	}
	return b
}

// decodeConfig reads the configuration of a dispatcher. btfVersion is the version
// in the BTF of the program, 0 when there is none: version 1 says it nowhere else.
// Of a version that is not known only the number is returned.
func decodeConfig(b []byte, btfVersion int) (config, error) {
	if len(b) < 2 {
		return config{}, fmt.Errorf("%w: %d bytes", errConfig, len(b))
	}
	version, head, size := btfVersion, 0, configSizeV1
	if b[0] == configMagic {
		version, head, size = int(b[1]), 2, configSize
	}
	switch {
	case version < 1 || version == 1 && b[0] == configMagic:
		return config{}, fmt.Errorf("%w: version %d", errConfig, version)
	case version > Version:
		return config{version: version}, nil
	case version == Version && b[0] != configMagic:
		return config{}, fmt.Errorf("%w: first byte %d, version %d", errConfig, b[0], version)
	case len(b) != size:
		return config{}, fmt.Errorf("%w: %d bytes of version %d, want %d", errConfig, len(b), version, size)
	case b[head] > Slots:
		return config{}, fmt.Errorf("%w: %d of %d slots in use", errConfig, b[head], Slots)
	}
	c := config{version: version, frags: version > 1 && b[3] != 0}
	for i := range int(b[head]) {
		word := func(array int) uint32 { return binary.LittleEndian.Uint32(b[4+4*(array*Slots+i):]) }
		s := slotConfig{proceedOn: Actions(word(0)) &^ proceedOnStub, priority: word(1)}
		s.frags = version > 1 && word(2)&flagFrags != 0
		c.slots = append(c.slots, s)
	}
	return c, nil
}
