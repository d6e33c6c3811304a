// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// compression is how a layer's tar is packed.
type compression int

const (
	uncompressed compression = iota
	gzipped
	zstandard
)

// layerTypes are the media types of a layer that is a tar, OCI's and docker's.
var layerTypes = map[string]compression{
	ocispec.MediaTypeImageLayer:                         uncompressed,
	ocispec.MediaTypeImageLayerGzip:                     gzipped,
	ocispec.MediaTypeImageLayerZstd:                     zstandard,
	"application/vnd.docker.image.rootfs.diff.tar":      uncompressed,
	"application/vnd.docker.image.rootfs.diff.tar.gzip": gzipped,
	"application/vnd.docker.image.rootfs.diff.tar.zstd": zstandard,
}

// budget is what unpacking may still use up, over all layers of an image.
type budget struct {
	bytes   int64
	entries int
}

// unpack takes the objects out of the image's layers, under the rules.
func unpack(c contents, r rules) ([]Object, error) {
	return unpackWithin(c, r, &budget{bytes: maxUnpacked, entries: maxEntries})
}

// unpackWithin never holds more than the budget and writes nothing to disk.
func unpackWithin(c contents, r rules, left *budget) ([]Object, error) {
	if len(c.config.diffIDs) != len(c.layers) {
		return nil, bad("the config counts %d layers, the manifest %d", len(c.config.diffIDs), len(c.layers))
	}
	if len(c.layers) > r.maxLayers {
		return nil, bad("it has %d layers instead of %d", len(c.layers), r.maxLayers)
	}
	found := newFiles(r)
	for i, data := range c.layers {
		if err := unpackLayer(found, c.manifest.Layers[i].MediaType, data, c.config.diffIDs[i], left); err != nil {
			return nil, fmt.Errorf("%s: %w", layerName(i), err)
		}
	}
	return found.objects()
}

// unpackLayer reads one layer to its last byte, so that its digest is that of
// all it holds.
func unpackLayer(found *files, mediaType string, data []byte, diffID digest.Digest, left *budget) error {
	packed := bytes.NewReader(data)
	tarball, err := decompress(mediaType, packed)
	if err != nil {
		return err
	}
	defer tarball.Close() // frees memory; reading to the end found every error
	if err := image.CheckDigest(diffID); err != nil {
		return bad("the config's diff_ids: %w", err)
	}
	hash := diffID.Algorithm().Digester()
	in := &budgetReader{r: io.TeeReader(tarball, hash.Hash()), left: left}
	if err := found.readTar(in, left); err != nil {
		return err
	}
	if err := onlyZeros(in); err != nil {
		return err
	}
	if packed.Len() > 0 {
		return bad("%d bytes follow the end of the compressed data", packed.Len())
	}
	if got := hash.Digest(); got != diffID {
		return fmt.Errorf("%w: %w: unpacked it is %s, the config says %q", ErrBadImage, image.ErrDigestMismatch, got, clip(diffID.String()))
	}
	return nil
}

// decompress reads in, which must be an [io.ByteReader] so that nothing is read
// past the end of the compressed data.
func decompress(mediaType string, in *bytes.Reader) (io.ReadCloser, error) {
	kind, ok := layerTypes[mediaType]
	if !ok {
		return nil, bad("%q is not the media type of a tar layer", clip(mediaType))
	}
	if kind == gzipped && isTar(in) {
		kind = uncompressed
	}
	return decompressors[kind](in)
}

// isTar recognises a tar that is not packed, whatever its media type: buildah and
// docker's archives have had such layers, and containerd and docker look at the
// bytes, too. POSIX and GNU write the magic.
func isTar(in *bytes.Reader) bool {
	var magic [5]byte
	n, _ := in.ReadAt(magic[:], 257) // fewer bytes are no tar
	return string(magic[:n]) == "ustar"
}

var decompressors = map[compression]func(*bytes.Reader) (io.ReadCloser, error){
	uncompressed: func(in *bytes.Reader) (io.ReadCloser, error) { return io.NopCloser(in), nil },
	gzipped:      openGzip,
	zstandard:    openZstd,
}

func openGzip(in *bytes.Reader) (io.ReadCloser, error) {
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, bad("it is not gzip: %w", err)
	}
	// A second member would be a place to hide things.
	z.Multistream(false)
	return z, nil
}

// budgetReader fails once more is read than the budget has.
type budgetReader struct {
	r    io.Reader
	left *budget
}

func (b *budgetReader) Read(p []byte) (int, error) {
	// One byte more than allowed tells an end at the limit from one beyond it.
	if max := b.left.bytes + 1; int64(len(p)) > max {
		p = p[:max]
	}
	n, err := b.r.Read(p)
	b.left.bytes -= int64(n)
	if b.left.bytes < 0 {
		return 0, bad("unpacked it is over %d bytes: %w", maxUnpacked, image.ErrTooLarge)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = bad("it cannot be unpacked: %w", err)
	}
	return n, err
}

// onlyZeros reads what follows the end of a tar: padding, or something hidden.
func onlyZeros(in io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return bad("data follows the end of the archive")
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// checkFileName accepts the base name of a file: one that cannot be mistaken for
// a path anywhere, although it is never used as one.
func checkFileName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is not a file name", name)
	case len(name) > maxFileName:
		return fmt.Errorf("the name %q is over %d bytes", clip(name), maxFileName)
	case strings.ContainsAny(name, `/\`):
		return fmt.Errorf("%q is a path, not a file name", clip(name))
	case strings.HasPrefix(name, ".wh."):
		return fmt.Errorf("%q marks a deleted file of another layer, which is not supported", clip(name))
	case !printable(name):
		return fmt.Errorf("the name %q holds characters that cannot be printed", clip(name))
	}
	return nil
}
