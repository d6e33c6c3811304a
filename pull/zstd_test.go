// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const dockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd"

// frame is data as one zstd frame.
func frame(t *testing.T, data []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, append([]zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

// streamed is a frame whose header does not say how much is in it, as container
// builders write them.
func streamed(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for chunk := range slices.Chunk(data, 1000) {
		if _, err := w.Write(chunk); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Parts of frames that no encoder writes (RFC 8878, 3.1.1).
var (
	frameMagic     = []byte{0x28, 0xb5, 0x2f, 0xfd}
	skippableFrame = append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0}, "evil"...)
)

// rawFrame has the header given and blocks after it.
func rawFrame(header []byte, blocks ...[]byte) []byte {
	return slices.Concat(append([][]byte{frameMagic, header}, blocks...)...)
}

// block is one block of a frame: kind 0 is data as it is, 1 a byte that is
// repeated size times.
func block(last bool, kind, size int, data ...byte) []byte {
	header := uint32(size<<3 | kind<<1)
	if last {
		header |= 1
	}
	return append(binary.LittleEndian.AppendUint32(nil, header)[:3], data...)
}

func TestZstdLayers(t *testing.T) {
	t.Parallel()
	object := realObject(t)
	content := archive(t, file{name: "counter.o", content: object})
	window := []byte{0, 13 << 3} // no flags, 8 MiB
	for name, raw := range map[string][]byte{
		"as build writes it":  frame(t, content, zstd.WithWindowSize(8<<20)),
		"best":                frame(t, content, zstd.WithEncoderLevel(zstd.SpeedBestCompression)),
		"without a checksum":  frame(t, content, zstd.WithEncoderCRC(false)),
		"streamed":            streamed(t, content),
		"not compressed":      rawFrame(window, block(false, 0, 1024, content[:1024]...), block(true, 0, len(content)-1024, content[1024:]...)),
		"with an empty block": rawFrame(window, block(false, 0, 0), block(true, 0, len(content), content...)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, mediaType := range []string{ocispec.MediaTypeImageLayerZstd, dockerLayerZstd} {
				for _, r := range []rules{strictRules, looseRules} {
					objects, err := unpack(layerOf(content, raw, mediaType), r)
					if err != nil || len(objects) != 1 || string(objects[0].Bytes) != object {
						t.Errorf("%s: %d objects, %v", mediaType, len(objects), err)
					}
				}
			}
		})
	}
}

func TestHostileZstd(t *testing.T) {
	t.Parallel()
	content := archive(t, good)
	packed := frame(t, content)
	with := func(change func([]byte)) []byte {
		data := bytes.Clone(packed)
		change(data)
		return data
	}
	window := []byte{0, 0}
	hidden := rawFrame(window, block(true, 0, len(content), content...))
	for name, row := range map[string]struct {
		raw  []byte
		want error
		text string
	}{
		"a second frame":           {slices.Concat(packed, frame(t, []byte("evil"))), nil, "bytes follow"},
		"an empty second frame":    {slices.Concat(packed, frame(t, nil)), nil, "bytes follow"},
		"a skippable frame first":  {slices.Concat(skippableFrame, packed), nil, "skippable"},
		"a skippable frame last":   {slices.Concat(packed, skippableFrame), nil, "12 bytes follow"},
		"only a skippable frame":   {skippableFrame, nil, "skippable"},
		"trailing data":            {append(bytes.Clone(packed), 0), nil, "1 bytes follow"},
		"data after no checksum":   {append(hidden, 1, 2, 3, 4), nil, "4 bytes follow"},
		"empty":                    {nil, nil, "not zstd"},
		"cut in the header":        {packed[:5], nil, "not zstd"},
		"cut after the header":     {rawFrame(window), nil, "cut short"},
		"cut in a block header":    {rawFrame(window, []byte{1, 0}), nil, "cut short"},
		"cut in a block":           {packed[:len(packed)-10], nil, "cut short"},
		"cut in the checksum":      {packed[:len(packed)-1], nil, "cut short: the zstd frame ends 1 bytes later"},
		"no last block":            {rawFrame(window, block(false, 0, len(content), content...)), nil, "cut short"},
		"wrong checksum":           {with(func(b []byte) { b[len(b)-1] ^= 1 }), nil, "cannot be unpacked"},
		"a size that lies":         {with(func(b []byte) { b[5]++ }), nil, "cannot be unpacked"},
		"not compressed":           {content, nil, "not zstd"},
		"zstd 0.7":                 {with(func(b []byte) { b[0] = 0x27 }), nil, "not zstd"},
		"a reserved bit":           {with(func(b []byte) { b[4] |= 1 << 3 }), nil, "not zstd"},
		"a reserved block":         {rawFrame(window, block(true, 3, 0)), nil, "no known type"},
		"a dictionary":             {rawFrame([]byte{1, 0, 7}, block(true, 0, 1, 'x')), nil, "dictionary 7"},
		"a block over its limit":   {rawFrame([]byte{0, 13 << 3}, block(true, 1, 1<<20, 0)), nil, "cannot be unpacked"},
		"a window over the limit":  {rawFrame([]byte{0, 13<<3 | 1}, block(true, 0, 1, 'x')), image.ErrTooLarge, "window of 9437184 bytes"},
		"the largest window":       {rawFrame([]byte{0, 0xff}, block(true, 0, 1, 'x')), image.ErrTooLarge, "window of"},
		"a window by content size": {rawFrame(slices.Concat([]byte{0xe0}, le64(9<<20)), block(true, 0, 1, 'x')), image.ErrTooLarge, "window of"},
		"a content size of 2^63":   {rawFrame(slices.Concat([]byte{0xc0, 0}, le64(1<<63)), block(true, 0, 1, 'x')), image.ErrTooLarge, "unpacked it is over"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []rules{strictRules, looseRules} {
				_, err := unpack(layerOf(content, row.raw, ocispec.MediaTypeImageLayerZstd), r)
				if !errors.Is(err, ErrBadImage) || (row.want != nil && !errors.Is(err, row.want)) || !strings.Contains(err.Error(), row.text) {
					t.Errorf("got %v, want %q", err, row.text)
				}
			}
		})
	}
}

func le64(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// zstdBomb is more than any image may unpack to, in 4 KiB: a good archive, and
// zeros after its end.
func zstdBomb(t *testing.T) []byte {
	content := archive(t, good)
	blocks := [][]byte{block(false, 0, len(content), content...)}
	const most = 128 << 10 // of a block
	for range maxUnpacked/most + 1 {
		blocks = append(blocks, block(false, 1, most, 0))
	}
	return rawFrame([]byte{0, 13 << 3}, append(blocks, block(true, 0, 0))...)
}

// A bomb is stopped at the budget, and neither it nor a lie about a size takes
// memory for what is not there.
func TestZstdBombs(t *testing.T) {
	for name, raw := range map[string][]byte{
		"zeros":             zstdBomb(t),
		"the largest sizes": rawFrame(slices.Concat([]byte{0xc0, 0xff}, le64(1<<62)), block(true, 0, 1, 'x')),
	} {
		t.Run(name, func(t *testing.T) {
			if len(raw) > 8<<10 {
				t.Fatalf("the bomb is %d bytes", len(raw))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := unpack(layerOf(nil, raw, ocispec.MediaTypeImageLayerZstd), strictRules)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, ErrBadImage) || !errors.Is(err, image.ErrTooLarge) {
				t.Errorf("got %v", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4*maxWindow {
				t.Errorf("%d bytes of memory", used)
			}
		})
	}
	k := newKit(t, testregistry.Options{})
	k.image(pushed{
		tag: "v1", artifactType: schemas.ArtifactType, layerType: ocispec.MediaTypeImageLayerZstd,
		layers: [][]byte{{}}, raw: [][]byte{zstdBomb(t)},
	})
	if _, err := k.fetch(Options{}); !errors.Is(err, ErrBadImage) || !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("from a registry: got %v", err)
	}
}

// TestZstdLeavesNothingRunning: whether a layer is read to its end or refused
// half-way, no goroutine stays: the bubble would not end.
func TestZstdLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	content := archive(t, file{name: "x.o", content: strings.Repeat("text", 1<<20)})
	packed, bomb := frame(t, content), zstdBomb(t)
	synctest.Test(t, func(t *testing.T) {
		if _, err := unpack(layerOf(content, packed, ocispec.MediaTypeImageLayerZstd), strictRules); err != nil {
			t.Error(err)
		}
		if _, err := unpack(layerOf(content, bomb, ocispec.MediaTypeImageLayerZstd), strictRules); err == nil {
			t.Error("a bomb was unpacked")
		}
	})
}

// FuzzZstd compares the walk over a frame with the decoder: where the walk sees
// one whole frame the decoder must read to its end or refuse, and never goes on to
// another; it keeps the budget and the rules of the archive.
func FuzzZstd(f *testing.F) {
	t := &testing.T{}
	content := archive(t, good)
	packed := frame(t, content)
	f.Add(packed)
	f.Add(streamed(t, content))
	f.Add(slices.Concat(packed, packed))
	f.Add(slices.Concat(skippableFrame, packed))
	f.Add(append(bytes.Clone(packed), 0))
	f.Add(rawFrame([]byte{0, 0xff}, block(true, 0, 1, 'x')))
	f.Add(rawFrame([]byte{0, 13 << 3}, block(false, 1, 128<<10, 0), block(true, 0, 0)))
	f.Add(rawFrame([]byte{1, 0, 7}, block(true, 3, 1, 'x')))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		left := &budget{limit, 100}
		objects, err := unpackWithin(layerOf(nil, data, ocispec.MediaTypeImageLayerZstd), looseRules, left)
		if err == nil || !errors.Is(err, ErrBadImage) {
			t.Errorf("%d objects, %v: the digest of the archive cannot be that", len(objects), err)
		}
		in := bytes.NewReader(data)
		if checkFrame(in) != nil {
			return
		}
		r, err := openZstd(in)
		if err != nil {
			t.Fatalf("the frame is whole, but: %v", err)
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, &budgetReader{r, &budget{bytes: limit}}); err == nil && in.Len() > 0 {
			t.Errorf("%d bytes were left", in.Len())
		}
	})
}

// TestUnpackedDigest: the budget and the digest are those of the archive,
// whatever it is packed with.
func TestUnpackedDigest(t *testing.T) {
	t.Parallel()
	content := archive(t, good)
	c := layerOf(content, frame(t, content), ocispec.MediaTypeImageLayerZstd)
	if _, err := unpackWithin(c, strictRules, &budget{int64(len(content)), 1}); err != nil {
		t.Errorf("just enough: %v", err)
	}
	if _, err := unpackWithin(c, strictRules, &budget{int64(len(content)) - 1, 1}); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("a byte too few: got %v", err)
	}
	c.config.diffIDs[0] = digest.FromBytes(c.layers[0])
	if _, err := unpack(c, strictRules); !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("the digest of the compressed layer: got %v", err)
	}
}
