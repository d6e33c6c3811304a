// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfarchive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"slices"

	"github.com/ulikunitz/xz/lzma"
)

// What the .xz file format specification, version 1.2.1, says.
const (
	xzMagic      = "\xfd7zXZ\x00"
	xzHeaderSize = 12
	// xzLZMA2 is the number of the one filter that is read.
	xzLZMA2 = 0x21
	// xzAlign is what blocks are padded to.
	xzAlign = 4
)

// maxDictionary bounds the memory a file asks for to be unpacked. `xz -9` asks
// for 64 MiB.
const maxDictionary = 64 << 20

var errNotXZ = errors.New("it is not an .xz file")

// unxz unpacks a file of one block, which is what xz writes for files of this
// size. The frame is read here, since a reader for all of the format lets each
// block choose a dictionary of up to 4 GiB.
func unxz(packed []byte) ([]byte, error) {
	if len(packed) < xzHeaderSize || !bytes.HasPrefix(packed, []byte(xzMagic)) {
		return nil, errNotXZ
	}
	flags := packed[6:8]
	if crc32.ChecksumIEEE(flags) != binary.LittleEndian.Uint32(packed[8:]) || flags[0] != 0 {
		return nil, errNotXZ
	}
	check, err := newCheck(flags[1])
	if err != nil {
		return nil, err
	}
	dictionary, size, err := blockHeader(packed[xzHeaderSize:])
	if err != nil {
		return nil, err
	}
	start := xzHeaderSize + size
	rest := bytes.NewReader(packed[start:])
	// Small dictionaries are refused by the reader, and larger ones do as well.
	reader, err := lzma.Reader2Config{DictCap: max(dictionary, lzma.MinDictCap)}.NewReader2(rest)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	data, err := readLimited(reader)
	if err != nil {
		return nil, fmt.Errorf("unpacking: %w", err)
	}
	end := len(packed) - rest.Len()
	end += (xzAlign - (end-start)%xzAlign) % xzAlign
	return data, endOfBlock(packed, end, data, check)
}

// newCheck knows the sums xz writes behind a block, nil for none.
func newCheck(kind byte) (hash.Hash, error) {
	switch kind {
	case 0x00:
		return nil, nil
	case 0x01:
		return crc32.NewIEEE(), nil
	case 0x04:
		return crc64.New(crc64.MakeTable(crc64.ECMA)), nil
	case 0x0a:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("its checksum is of an unknown kind, %d", kind)
}

// blockHeader returns the size of the dictionary, and that of the header.
func blockHeader(data []byte) (dictionary, size int, err error) {
	if len(data) == 0 || data[0] == 0 {
		return 0, 0, errors.New("it is empty")
	}
	size = (int(data[0]) + 1) * 4
	if size > len(data) {
		return 0, 0, errNotXZ
	}
	header, sum := data[:size-4], data[size-4:size]
	if crc32.ChecksumIEEE(header) != binary.LittleEndian.Uint32(sum) {
		return 0, 0, errNotXZ
	}
	flags, fields := header[1], header[2:]
	if flags&0x3f != 0 {
		return 0, 0, errors.New("it was packed with filters that are not read: pack it with plain xz")
	}
	for _, present := range []byte{0x40, 0x80} { // the sizes, packed and unpacked
		if flags&present == 0 {
			continue
		}
		_, n := binary.Uvarint(fields)
		if n <= 0 {
			return 0, 0, errNotXZ
		}
		fields = fields[n:]
	}
	if len(fields) < 3 || fields[0] != xzLZMA2 || fields[1] != 1 {
		return 0, 0, errors.New("it was packed with filters that are not read: pack it with plain xz")
	}
	bits := fields[2]
	// Mantissa 2 or 3, shifted; 27 bits and more are over the limit.
	if exponent := bits/2 + 11; exponent < 27 {
		dictionary = (2 | int(bits&1)) << exponent
	}
	if dictionary == 0 || dictionary > maxDictionary {
		return 0, 0, fmt.Errorf("unpacking needs more than %d bytes of memory: pack it with xz -9 or less", maxDictionary)
	}
	return dictionary, size, nil
}

// endOfBlock compares the sum at end, behind which the index must follow.
func endOfBlock(packed []byte, end int, data []byte, check hash.Hash) error {
	var size int
	if check != nil {
		size = check.Size()
	}
	if end+size >= len(packed) {
		return errors.New("it is cut short")
	}
	if packed[end+size] != 0 {
		return errors.New("it has more than one block: pack it with xz --threads=1")
	}
	if check == nil {
		return nil
	}
	_, _ = check.Write(data) // a hash never fails
	sum := check.Sum(nil)
	if size < sha256.Size {
		// The numbers among them are little-endian in the file.
		slices.Reverse(sum)
	}
	if !bytes.Equal(sum, packed[end:end+size]) {
		return errors.New("its checksum is wrong")
	}
	return nil
}
