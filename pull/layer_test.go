// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layerOf is an image whose one layer is content, packed as raw.
func layerOf(content, raw []byte, mediaType string) contents {
	return contents{
		manifest: ocispec.Manifest{Layers: []ocispec.Descriptor{descriptor(mediaType, raw)}},
		config:   config{diffIDs: []digest.Digest{digest.FromBytes(content)}},
		layers:   [][]byte{raw},
	}
}

// good is a file every format accepts.
var good = file{name: "good.o", content: "x"}

// Layers that are refused, by the rules for our own images and by those for
// others'.
func TestHostileLayers(t *testing.T) {
	t.Parallel()
	many := make([]file, 2000)
	for i := range many {
		many[i] = file{name: fmt.Sprintf("%d.o", i)}
	}
	link := func(kind byte) file { return file{name: "x.o", kind: kind, link: "/etc/passwd"} }
	for name, row := range map[string]struct {
		files []file
		// looseToo: refused in images of other tools as well.
		looseToo bool
		text     string
	}{
		"two thousand entries":         {many, true, "1024 entries"},
		"parent folder":                {[]file{{name: "../x.o"}}, true, "leaves"},
		"parent folder below":          {[]file{{name: "a/../../x.o"}}, true, "leaves"},
		"parent folder after ./":       {[]file{{name: "./../x.o"}}, true, "leaves"},
		"absolute":                     {[]file{{name: "/etc/x.o"}}, true, "absolute"},
		"absolute for another system":  {[]file{{name: `C:\x.o`}}, true, "absolute"},
		"empty part":                   {[]file{{name: "a//x.o"}}, true, "leaves"},
		"twice":                        {[]file{good, good}, true, "twice"},
		"twice, spelled differently":   {[]file{good, {name: "./good.o"}}, true, "twice"},
		"symbolic link":                {[]file{link(tar.TypeSymlink)}, true, "link"},
		"hard link":                    {[]file{link(tar.TypeLink)}, true, "link"},
		"character device":             {[]file{link(tar.TypeChar)}, true, "type"},
		"block device":                 {[]file{link(tar.TypeBlock)}, true, "type"},
		"fifo":                         {[]file{link(tar.TypeFifo)}, true, "type"},
		"global header":                {[]file{{kind: tar.TypeXGlobalHeader, pax: map[string]string{"path": "x.o"}}}, true, "type"},
		"deleted file":                 {[]file{{name: ".wh.x.o"}, good}, true, "deleted"},
		"terminal escape in the name":  {[]file{{name: "\x1b[31mx.o"}}, true, "printed"},
		"text direction in the name":   {[]file{{name: "o.exe\u202e.o"}}, true, "printed"},
		"name that is not UTF-8":       {[]file{{name: "\xff.o"}}, true, "printed"},
		"long name":                    {[]file{{name: strings.Repeat("x", 300) + ".o"}}, true, "255 bytes"},
		"nothing":                      {nil, true, "no file ending"},
		"no object":                    {[]file{{name: "README"}}, true, ""},
		"folder":                       {[]file{{name: "etc/", kind: tar.TypeDir}, good}, false, "folder"},
		"object in a folder":           {[]file{{name: "etc/x.o"}, good}, false, "root"},
		"another file":                 {[]file{{name: "README"}, good}, false, "not an object"},
		"dot slash":                    {[]file{{name: "./good.o"}}, false, "plain"},
		"extended header":              {[]file{{name: "x.o", pax: map[string]string{"comment": "hidden"}}}, false, "extended"},
		"name from an extended header": {[]file{{name: "ünïcode.o", pax: map[string]string{"path": "ünïcode.o"}}}, false, "extended"},
	} {
		t.Run(name, func(t *testing.T) {
			content := archive(t, row.files...)
			c := layerOf(content, zipped(t, content), ocispec.MediaTypeImageLayerGzip)
			_, err := unpack(c, strictRules)
			if !errors.Is(err, ErrBadImage) || (!row.looseToo && !strings.Contains(err.Error(), row.text)) {
				t.Errorf("in our image: got %v, want %q", err, row.text)
			}
			_, err = unpack(c, looseRules)
			if row.looseToo != errors.Is(err, ErrBadImage) || (row.looseToo && !strings.Contains(err.Error(), row.text)) {
				t.Errorf("in another's image: got %v, want %q", err, row.text)
			}
		})
	}
}

// Archives the tar writer would not write.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	content := archive(t, good)
	sparse := bytes.Clone(content)
	sparse[156] = tar.TypeGNUSparse
	fixChecksum(sparse)
	huge := bytes.Clone(content)
	copy(huge[124:136], "77777777777\x00") // the size field: 8 GiB - 1
	fixChecksum(huge)
	lies := bytes.Clone(content)
	copy(lies[124:136], "00000010000\x00") // 4 KiB, which are not there
	fixChecksum(lies)
	for name, data := range map[string][]byte{
		"not a tar":            []byte(strings.Repeat("nonsense", 200)),
		"empty":                {},
		"cut in a header":      content[:100],
		"cut in the content":   content[:512],
		"hidden after the end": append(bytes.Clone(content), "evil"...),
		"a second archive":     append(bytes.Clone(content), content...),
		"sparse":               sparse,
		"a size of 8 GiB":      huge,
		"a size that lies":     lies,
		"pax sparse":           archivePAXSparse(t),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []rules{strictRules, looseRules} {
				c := layerOf(data, zipped(t, data), ocispec.MediaTypeImageLayerGzip)
				if objects, err := unpack(c, r); !errors.Is(err, ErrBadImage) {
					t.Errorf("got %v, %v", objects, err)
				}
			}
		})
	}
}

// fixChecksum makes the first header of an archive valid again: the checksum is
// the sum of its bytes with eight spaces in the field's place (POSIX, pax,
// "ustar Interchange Format").
func fixChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// archivePAXSparse is a sparse file of the 0.1 format, which the tar writer
// refuses to write: the key is patched in afterwards.
func archivePAXSparse(t *testing.T) []byte {
	t.Helper()
	data := archive(t, file{name: "x.o", content: "x", pax: map[string]string{
		"ZZZ.sparse.map": "0,1", "ZZZ.sparse.size": "1", "ZZZ.sparse.numblocks": "1",
	}})
	return bytes.ReplaceAll(data, []byte("ZZZ.sparse"), []byte("GNU.sparse"))
}

func TestHostileCompression(t *testing.T) {
	t.Parallel()
	content := archive(t, good)
	packed := zipped(t, content)
	broken := bytes.Clone(packed)
	broken[len(broken)-5] ^= 1 // in the checksum
	for name, row := range map[string]struct {
		raw       []byte
		mediaType string
		text      string
	}{
		"a second member":    {append(bytes.Clone(packed), zipped(t, []byte("evil"))...), ocispec.MediaTypeImageLayerGzip, "follow"},
		"trailing data":      {append(bytes.Clone(packed), 0), ocispec.MediaTypeImageLayerGzip, "1 bytes follow"},
		"truncated":          {packed[:len(packed)-9], ocispec.MediaTypeImageLayerGzip, "unpacked"},
		"wrong checksum":     {broken, ocispec.MediaTypeImageLayerGzip, "checksum"},
		"neither":            {content[1:], ocispec.MediaTypeImageLayerGzip, "not gzip"},
		"a tar called zstd":  {content, ocispec.MediaTypeImageLayerZstd, "not zstd"},
		"compressed unsaid":  {packed, ocispec.MediaTypeImageLayer, "tar"},
		"gzip called zstd":   {packed, ocispec.MediaTypeImageLayerZstd, "not zstd"},
		"unknown media type": {packed, "application/x-\x1b[31m", `\x1b`},
		"empty":              {nil, ocispec.MediaTypeImageLayerGzip, "not gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := unpack(layerOf(content, row.raw, row.mediaType), looseRules)
			if !errors.Is(err, ErrBadImage) || !strings.Contains(err.Error(), row.text) {
				t.Errorf("got %v, want %q", err, row.text)
			}
		})
	}
}

func TestDiffIDs(t *testing.T) {
	t.Parallel()
	content := archive(t, good)
	c := layerOf(content, zipped(t, content), ocispec.MediaTypeImageLayerGzip)
	if _, err := unpack(c, strictRules); err != nil {
		t.Fatal(err)
	}
	c.config.diffIDs[0] = digest.FromString("other")
	if _, err := unpack(c, strictRules); !errors.Is(err, ErrBadImage) || !errors.Is(err, image.ErrDigestMismatch) {
		t.Errorf("wrong one: got %v", err)
	}
	c.config.diffIDs = nil
	if _, err := unpack(c, strictRules); !errors.Is(err, ErrBadImage) {
		t.Errorf("none: got %v", err)
	}
	two := contents{
		manifest: ocispec.Manifest{Layers: append(c.manifest.Layers, c.manifest.Layers...)},
		config:   config{diffIDs: []digest.Digest{digest.FromBytes(content), digest.FromBytes(content)}},
		layers:   append(c.layers, c.layers...),
	}
	if _, err := unpack(two, strictRules); !errors.Is(err, ErrBadImage) {
		t.Errorf("two layers in our image: got %v", err)
	}
}

// zeros is an endless file of which it counts what was read.
type zeros struct{ read int64 }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += int64(len(p))
	return len(p), nil
}

// A bomb is stopped at the budget: not a block more is unpacked than that, and
// content is not held that does not count.
func TestBombs(t *testing.T) {
	t.Parallel()
	header := archive(t, file{name: "bomb.o", content: ""})[:512]
	setSize := func(size int64) []byte {
		h := bytes.Clone(header)
		copy(h[124:136], fmt.Sprintf("%011o\x00", size))
		fixChecksum(h)
		return h
	}
	const slack = 64 << 10 // buffers on the way
	t.Run("one file over the limit is not begun", func(t *testing.T) {
		in := &zeros{}
		left := &budget{bytes: maxUnpacked, entries: maxEntries}
		err := newFiles(strictRules).readTar(&budgetReader{io.MultiReader(bytes.NewReader(setSize(maxUnpacked+1)), in), left}, left)
		if !errors.Is(err, ErrBadImage) || !errors.Is(err, image.ErrTooLarge) || in.read > slack {
			t.Errorf("got %v after %d bytes", err, in.read)
		}
	})
	t.Run("ignored files count", func(t *testing.T) {
		in := &zeros{}
		left := &budget{bytes: maxUnpacked, entries: maxEntries}
		ignored := bytes.Clone(setSize(8<<30 - 512))
		copy(ignored, "README\x00")
		fixChecksum(ignored)
		err := newFiles(looseRules).readTar(&budgetReader{io.MultiReader(bytes.NewReader(ignored), in), left}, left)
		if !errors.Is(err, image.ErrTooLarge) || in.read > maxUnpacked+slack {
			t.Errorf("got %v after %d bytes", err, in.read)
		}
	})
	t.Run("zeros after the end", func(t *testing.T) {
		in := &zeros{}
		left := &budget{bytes: maxUnpacked, entries: maxEntries}
		if err := onlyZeros(&budgetReader{in, left}); !errors.Is(err, image.ErrTooLarge) || in.read > maxUnpacked+slack {
			t.Errorf("got %v after %d bytes", err, in.read)
		}
	})
	t.Run("from a registry", func(t *testing.T) {
		// Over 64 MiB of zeros after a good file, as 70 KiB. Flushed blocks can be
		// repeated; the checksum at the end would be wrong, but is never reached.
		var bomb bytes.Buffer
		w := gzip.NewWriter(&bomb)
		var block []byte
		for _, part := range [][]byte{archive(t, good), make([]byte, 1<<20)} {
			begin := bomb.Len()
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			block = bytes.Clone(bomb.Bytes()[begin:])
		}
		for range maxUnpacked >> 20 {
			bomb.Write(block)
		}
		k := newKit(t, testregistry.Options{})
		k.image(pushed{
			tag: "v1", artifactType: schemas.ArtifactType, layers: [][]byte{{}}, raw: [][]byte{bomb.Bytes()},
		})
		if _, err := k.fetch(Options{}); !errors.Is(err, ErrBadImage) || !errors.Is(err, image.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("over two layers together", func(t *testing.T) {
		const limit = 1 << 20
		half := archive(t, file{name: "a.o", content: strings.Repeat("\x00", limit/2)})
		second := archive(t, file{name: "b.o", content: strings.Repeat("\x00", limit/2)})
		c := layerOf(half, zipped(t, half), ocispec.MediaTypeImageLayerGzip)
		if _, err := unpackWithin(c, looseRules, &budget{limit, 10}); err != nil {
			t.Fatal(err)
		}
		other := layerOf(second, zipped(t, second), ocispec.MediaTypeImageLayerGzip)
		c.layers = append(c.layers, other.layers...)
		c.manifest.Layers = append(c.manifest.Layers, other.manifest.Layers...)
		c.config.diffIDs = append(c.config.diffIDs, other.config.diffIDs...)
		if _, err := unpackWithin(c, looseRules, &budget{limit, 10}); !errors.Is(err, image.ErrTooLarge) {
			t.Errorf("bytes: got %v", err)
		}
		if _, err := unpackWithin(c, looseRules, &budget{2 * limit, 1}); !errors.Is(err, ErrBadImage) || !strings.Contains(err.Error(), "entries") {
			t.Errorf("entries: got %v", err)
		}
	})
}

func TestNamesFromLabels(t *testing.T) {
	t.Parallel()
	content := archive(t, good)
	for _, name := range []string{"../good.o", "/good.o", "a/good.o", "\x1b.o", "missing.o", strings.Repeat("x", 256), ".wh.x"} {
		c := layerOf(content, zipped(t, content), ocispec.MediaTypeImageLayerGzip)
		c.config.labels = map[string]string{schemas.LabelOldFilename: name}
		if _, err := unpackOld(c); !errors.Is(err, ErrBadImage) {
			t.Errorf("label %q: got %v", name, err)
		}
		elf := layerOf(nil, []byte(elfMagic), "application/x-elf")
		elf.manifest.Layers[0].Annotations = map[string]string{ocispec.AnnotationTitle: name}
		if _, err := plainELF(elf); name != "missing.o" && !errors.Is(err, ErrBadImage) {
			t.Errorf("title %q: got %v", name, err)
		}
	}
}

// TestTarCalledGzip: some tools leave layers as they are and say gzip all the same.
// What is in one is checked against the config as ever.
func TestTarCalledGzip(t *testing.T) {
	t.Parallel()
	content := archive(t, good)
	for _, mediaType := range []string{ocispec.MediaTypeImageLayerGzip, "application/vnd.docker.image.rootfs.diff.tar.gzip"} {
		objects, err := unpack(layerOf(content, content, mediaType), looseRules)
		if err != nil || len(objects) != 1 {
			t.Errorf("%s: got %v, %v", mediaType, objects, err)
		}
		if _, err := unpack(layerOf([]byte("another"), content, mediaType), looseRules); !errors.Is(err, image.ErrDigestMismatch) {
			t.Errorf("%s, not what the config names: got %v", mediaType, err)
		}
	}
}

// TestSeveralELFLayers: oras push REF a.o b.o.
func TestSeveralELFLayers(t *testing.T) {
	t.Parallel()
	elf := func(titles ...string) contents {
		var c contents
		for i, title := range titles {
			c.layers = append(c.layers, []byte(elfMagic+strings.Repeat("x", i)))
			l := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer}
			if title != "" {
				l.Annotations = map[string]string{ocispec.AnnotationTitle: title}
			}
			c.manifest.Layers = append(c.manifest.Layers, l)
		}
		return c
	}
	c := elf("a.bpf.o", "b.bpf.o")
	objects, err := plainELF(c)
	if !isPlainELF(c) || err != nil || len(objects) != 2 || objects[0].File != "a.bpf.o" || objects[1].File != "b.bpf.o" || len(objects[1].Bytes) != len(elfMagic)+1 {
		t.Errorf("got %v, %v", objects, err)
	}
	for name, c := range map[string]contents{"one title": elf("a.o", "a.o"), "no titles": elf("", ""), "a path": elf("a.o", "../b.o")} {
		if _, err := plainELF(c); !errors.Is(err, ErrBadImage) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c.layers[1] = []byte("# read me")
	if isPlainELF(c) || isPlainELF(contents{}) {
		t.Error("not all layers are ELF files, or there are none")
	}
}
