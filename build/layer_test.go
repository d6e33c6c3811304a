// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"bytes"
	"compress/gzip"
	"io"
	"math/rand/v2"
	"testing"
)

func TestGzipStored(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{})
	for _, size := range []int{0, 1, maxStored - 1, maxStored, maxStored + 1, 2 * maxStored, 200_000} {
		data := make([]byte, size)
		if _, err := random.Read(data); err != nil {
			t.Fatal(err)
		}
		packed := gzipStored(data)
		if cap(packed) != len(packed) && size > 0 && cap(packed) > len(packed)+64 {
			t.Errorf("%d bytes: allocated %d for %d", size, cap(packed), len(packed))
		}
		r, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		got, err := io.ReadAll(r) // checks length and checksum
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: read %d back: %v", size, len(got), err)
		}
	}
}
