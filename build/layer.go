// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"
)

// tarLayer writes the files at the root of a USTAR archive, in their order. It
// depends on names and contents alone: owner, mode and time are constants, so
// that two builds of the same objects share the blob whatever
// SOURCE_DATE_EPOCH says.
func tarLayer(files []file) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg,
			Name:     f.name,
			Size:     int64(len(f.data)),
			Mode:     0o644,
			ModTime:  time.Unix(0, 0),
			Format:   tar.FormatUSTAR,
		})
		if err != nil {
			return nil, fmt.Errorf("writing %q to the layer: %w", f.name, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("writing %q to the layer: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("finishing the layer: %w", err)
	}
	return buf.Bytes(), nil
}

// maxStored is the most one stored deflate block holds (RFC 1951, 3.2.4).
const maxStored = 0xffff

// gzipHeader is a fixed gzip member header (RFC 1952, 2.3): deflate, no flags,
// no time, no extra flags, operating system unknown.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// gzipStored wraps data in a gzip stream of stored (uncompressed) blocks.
//
// What a compressor makes of the same input changes between releases, of Go as
// of any library, and with it every digest. The format of stored blocks leaves
// a writer no choice, so these bytes are the same for ever. The price is size:
// bytecode objects are tens of KiB and would shrink to a third. Readers gain: a
// stored layer cannot be a decompression bomb and costs nothing to unpack.
func gzipStored(data []byte) []byte {
	blocks := max(1, (len(data)+maxStored-1)/maxStored)
	out := make([]byte, 0, len(gzipHeader)+len(data)+5*blocks+8)
	out = append(out, gzipHeader...)
	rest := data
	for last := false; !last; {
		n := min(len(rest), maxStored)
		last = n == len(rest)
		var final byte
		if last {
			final = 1
		}
		out = append(out, final)
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(n))
		out = append(out, rest[:n]...)
		rest = rest[n:]
	}
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(data))
	return binary.LittleEndian.AppendUint32(out, uint32(len(data)))
}
