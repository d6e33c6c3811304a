// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Compression is how the layer of an image is packed.
type Compression string

// The compressions.
const (
	// CompressionGzip is a gzip stream of stored blocks: it makes nothing
	// smaller, is read by everything, bpfman included, and its bytes are the
	// same for ever (see layer.go).
	CompressionGzip Compression = "gzip"
	// CompressionZstd makes objects about a third of their size. Its bytes are
	// the same on every machine, but may change with the release of bpfimg.
	CompressionZstd Compression = "zstd"
	// CompressionNone is the archive as it is.
	CompressionNone Compression = "none"
)

// compressions is what each is called in the manifest, and how it is made.
var compressions = map[Compression]struct {
	mediaType string
	pack      func([]byte) ([]byte, error)
}{
	CompressionGzip: {ocispec.MediaTypeImageLayerGzip, func(data []byte) ([]byte, error) { return gzipStored(data), nil }},
	CompressionZstd: {ocispec.MediaTypeImageLayerZstd, zstdFrame},
	CompressionNone: {ocispec.MediaTypeImageLayer, func(data []byte) ([]byte, error) { return data, nil }},
}

// zstdWindow is what decoders should at least support (RFC 8878, 3.1.1.1.2), in
// bytes. Ours supports no more.
const zstdWindow = 8 << 20

// zstdFrame is one frame with the size of its content and a checksum. What the
// encoder makes of the same input is decided by its version, which go.mod pins,
// its level and its window alone: one goroutine, and the assembly some machines
// have finds the same matches as the Go code of the others.
func zstdFrame(data []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(zstdWindow), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("preparing zstd: %w", err)
	}
	packed := w.EncodeAll(data, nil)
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing the layer with zstd: %w", err)
	}
	return packed, nil
}
