// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
)

// TestZstdFrame: larger than the window, with matches near and far; always the
// same, also while others compress.
func TestZstdFrame(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewChaCha8([32]byte{}))
	var data bytes.Buffer
	for data.Len() < zstdWindow+zstdWindow/2 {
		// Words of a small vocabulary, as tables of symbols and strings are.
		fmt.Fprintf(&data, "bpf_%d_%x ", random.IntN(500), random.IntN(1<<20))
	}
	const want = "sha256:bf933d7592874087e501a66b64e9cf8694b0aed418e94c896466be9f9a7f98c6"
	t.Run("together", func(t *testing.T) {
		for i := range 2 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				packed, err := zstdFrame(data.Bytes())
				if err != nil {
					t.Fatal(err)
				}
				if got := digest.FromBytes(packed); got != want {
					t.Errorf("%d bytes, %s; want %s. Has the library in go.mod changed?", len(packed), got, want)
				}
			})
		}
	})
	packed, err := zstdFrame(data.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var h zstd.Header
	if err := h.Decode(packed); err != nil || !h.HasCheckSum || h.FrameContentSize != uint64(data.Len()) || h.WindowSize != zstdWindow {
		t.Errorf("frame header %+v: %v", h, err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if got, err := d.DecodeAll(packed, nil); err != nil || !bytes.Equal(got, data.Bytes()) {
		t.Errorf("%d bytes read back, want %d: %v", len(got), data.Len(), err)
	}
}
