// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/bpfimg/bpfimg/image"
	"github.com/klauspost/compress/zstd"
)

// openZstd decompresses in, which must be one frame and nothing else. It starts
// no goroutine, and holds the window and a block or two in memory.
func openZstd(in *bytes.Reader) (io.ReadCloser, error) {
	if err := checkFrame(in); err != nil {
		return nil, err
	}
	d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		return nil, bad("it is not zstd: %w", err)
	}
	return d.IOReadCloser(), nil
}

// Of a zstd block (RFC 8878, 3.1.1.2): the bytes of its header, and the types
// that are in it.
const (
	blockHeader   = 3
	blockRLE      = 1
	blockReserved = 3
)

// checksumSize is that of a frame's checksum, in bytes (RFC 8878, 3.1.1).
const checksumSize = 4

// checkFrame reads the frame's header and goes from block to block without
// unpacking any. The decoder would take further frames for more of the same
// content, and pass over skippable ones: places to hide things, and copies of
// one layer under many digests.
func checkFrame(in *bytes.Reader) error {
	var head [zstd.HeaderMaxSize]byte
	n, err := in.ReadAt(head[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading a layer: %w", err)
	}
	var h zstd.Header
	if err := h.Decode(head[:n]); err != nil {
		return bad("it is not zstd: %w", err)
	}
	if err := checkFrameHeader(h); err != nil {
		return err
	}
	end, err := lastBlock(in, int64(h.HeaderSize))
	if err != nil {
		return err
	}
	if h.HasCheckSum {
		end += checksumSize
	}
	switch rest := in.Size() - end; {
	case rest < 0:
		return bad("it is cut short: the zstd frame ends %d bytes later", -rest)
	case rest > 0:
		return bad("%d bytes follow the end of the compressed data", rest)
	}
	return nil
}

// checkFrameHeader refuses frames that need more memory than any layer may take,
// or something that is not in the image.
func checkFrameHeader(h zstd.Header) error {
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	switch {
	case h.Skippable:
		return bad("it begins with a skippable zstd frame, which is not supported")
	case h.DictionaryID != 0:
		return bad("its zstd frame needs the dictionary %d, which an image cannot carry", h.DictionaryID)
	case h.HasFCS && h.FrameContentSize > maxUnpacked:
		return bad("unpacked it is over %d bytes: %w", maxUnpacked, image.ErrTooLarge)
	case window > maxWindow:
		return bad("unpacking it needs a zstd window of %d bytes, at most %d are allowed: compress it with a lower level: %w",
			window, maxWindow, image.ErrTooLarge)
	}
	return nil
}

// lastBlock returns where the last block ends that begins at offset at or after.
func lastBlock(in io.ReaderAt, at int64) (end int64, err error) {
	for last := false; !last; {
		var b [blockHeader]byte
		if _, err := in.ReadAt(b[:], at); err != nil {
			return 0, bad("it is cut short: a zstd block is missing at byte %d", at)
		}
		header := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		kind, size := header>>1&3, int64(header>>3)
		last = header&1 == 1
		switch kind {
		case blockReserved:
			return 0, bad("it is not zstd: the block at byte %d is of no known type", at)
		case blockRLE:
			size = 1 // one byte, repeated as often as the size says
		}
		at += blockHeader + size
	}
	return at, nil
}
