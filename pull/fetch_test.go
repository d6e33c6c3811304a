// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Each format as its own tool writes it, by what is published about it.
func TestFormats(t *testing.T) {
	t.Parallel()
	object := realObject(t)
	one := func(name string) [][]byte { return [][]byte{archive(t, file{name: name, content: object})} }
	paxTimes := map[string]string{"mtime": "1700000000.123456789"}
	for name, row := range map[string]struct {
		push   pushed
		format Format
		files  string // names of the objects, spaced
	}{
		"bpfimg": {ours(t, file{name: "counter.o", content: object}), FormatBpfimg, "counter.o"},
		"bpfimg, several objects in load order": {
			ours(t, file{name: "b.o", content: object}, file{name: "a.o", content: object}), FormatBpfimg, "b.o a.o",
		},
		"bpfimg, by a label": {
			pushed{labels: map[string]string{schemas.LabelHooks: "{}"}, layers: one("x.o")}, FormatBpfimg, "x.o",
		},
		"bpfimg, by an annotation": {
			pushed{annotations: map[string]string{schemas.LabelHooks: "{}"}, layers: one("x.o")}, FormatBpfimg, "x.o",
		},
		"bpfimg of the first releases, without its labels": {
			pushed{artifactType: schemas.ArtifactType, layers: one("x.o")}, FormatBpfimg, "x.o",
		},
		"bpfman": {
			pushed{labels: map[string]string{schemas.LabelPrograms: `{"xdp_prog_func":"xdp"}`, schemas.LabelMaps: `{"xdp_stats_map":"lru_hash"}`}, layers: one("bpf.o")},
			FormatBpfman, "bpf.o",
		},
		"bpfman, built by docker": {
			pushed{
				manifestType: dockerManifest, configType: dockerConfig, layerType: dockerLayerGzip,
				labels: map[string]string{schemas.LabelPrograms: "{}"},
				layers: [][]byte{archive(t, file{name: "./", kind: '5'}, file{name: "./bpf.o", content: object, pax: paxTimes}, file{name: "README", content: "x"})},
			},
			FormatBpfman, "bpf.o",
		},
		"bpfman, uncompressed": {
			pushed{labels: map[string]string{schemas.LabelMaps: "{}"}, layerType: ocispec.MediaTypeImageLayer, layers: one("bpf.o")}, FormatBpfman, "bpf.o",
		},
		"bpfman, several layers": {
			pushed{labels: map[string]string{schemas.LabelPrograms: "{}"}, layers: [][]byte{
				archive(t, file{name: "etc/", kind: '5'}, file{name: "etc/x.o", content: "no"}), archive(t, file{name: "bpf.o", content: object}),
			}}, FormatBpfman, "bpf.o",
		},
		"bpfman, old labels": {
			pushed{labels: map[string]string{
				schemas.LabelOldProgramType: "xdp", schemas.LabelOldProgramName: "pass",
				schemas.LabelOldFilename: "pass.bpf.elf", schemas.LabelOldSectionName: "pass",
			}, layers: [][]byte{archive(t, file{name: "other.o", content: "x"}, file{name: "pass.bpf.elf", content: object})}},
			FormatBpfmanOld, "pass.bpf.elf",
		},
		"bpfman, old labels, no file name": {
			pushed{labels: map[string]string{schemas.LabelOldProgramType: "xdp"}, layers: one("bpf.o")}, FormatBpfmanOld, "bpf.o",
		},
		"ELF pushed with a generic tool": {
			pushed{
				configType: emptyConfig, config: []byte("{}"), artifactType: "application/vnd.acme",
				layerType: "application/octet-stream", layers: [][]byte{[]byte(object)},
				layerAnnotations: map[string]string{ocispec.AnnotationTitle: "counter.bpf.o"},
			}, FormatELF, "counter.bpf.o",
		},
		"ELF without a name": {
			pushed{configType: "text/plain", config: []byte("no JSON"), layerType: "application/x-elf", layers: [][]byte{[]byte(object)}},
			FormatELF, defaultObjectName,
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, testregistry.Options{})
			row.push.tag = "v1"
			root := k.image(row.push)
			img := k.mustFetch(Options{})
			if img.Format != row.format || img.Root.Descriptor.Digest != root.Digest || img.Manifest.Descriptor.Digest != root.Digest {
				t.Errorf("format %q, root %s, manifest %s", img.Format, img.Root.Descriptor.Digest, img.Manifest.Descriptor.Digest)
			}
			var names []string
			for _, o := range img.Objects {
				names = append(names, o.File)
				if string(o.Bytes) != object || o.Digest != digest.FromString(object).String() {
					t.Errorf("%s holds %d bytes, %s", o.File, len(o.Bytes), o.Digest)
				}
			}
			if got := strings.Join(names, " "); got != row.files {
				t.Errorf("objects %q, want %q", got, row.files)
			}
		})
	}
}

func TestDescribed(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	k.image(ours(t, file{name: "counter.o", content: "x"}))
	img := k.mustFetch(Options{})
	if img.Described == nil || img.Described.Name != "counter" || img.Labels[schemas.LabelMaps] != "{}" {
		t.Errorf("described as %+v, labels %v", img.Described, img.Labels)
	}
	// Images of bpfimg's first releases have it as an annotation, too, which counts
	// where there is no label.
	older := ours(t, file{name: "counter.o", content: "x"})
	older.annotations = map[string]string{schemas.LabelDescription: `{"schemaVersion":1,"name":"annotated","objects":[]}`}
	k.image(older)
	if img := k.mustFetch(Options{}); img.Described == nil || img.Described.Name != "counter" {
		t.Errorf("with both, described as %+v", img.Described)
	}
	delete(older.labels, schemas.LabelDescription)
	k.image(older)
	if img := k.mustFetch(Options{}); img.Described == nil || img.Described.Name != "annotated" {
		t.Errorf("by the annotation alone, described as %+v", img.Described)
	}
	for name, row := range map[string]struct {
		text string
		want error
	}{
		"unknown keys are for later":  {`{"schemaVersion":1,"objects":[],"colour":"red"}`, nil},
		"newer":                       {`{"schemaVersion":2,"objects":"of another shape"}`, ErrNewer},
		"no version":                  {`{"objects":[]}`, ErrBadImage},
		"no JSON":                     {`{`, ErrBadImage},
		"not an object":               {`[]`, ErrBadImage},
		"two documents":               {`{"schemaVersion":1}{}`, ErrBadImage},
		"two versions":                {`{"schemaVersion":2,"schemaVersion":1}`, ErrBadImage},
		"a version in other letters":  {`{"schemaVersion":1,"SchemaVersion":2}`, ErrBadImage},
		"the wrong type somewhere":    {`{"schemaVersion":1,"objects":[{"file":7}]}`, ErrBadImage},
		"too large":                   {`{"schemaVersion":1,"name":"` + strings.Repeat("x", maxDescription) + `"}`, ErrBadImage},
		"too many objects":            {`{"schemaVersion":1,"objects":[{}` + strings.Repeat(",{}", maxEntries) + `]}`, ErrBadImage},
		"nested deeper than sensible": {`{"schemaVersion":1,"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`, ErrBadImage},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := decodeDescription(row.text); !errors.Is(err, row.want) || (row.want == nil && err != nil) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
	labelled := contents{config: config{labels: map[string]string{schemas.LabelDescription: "{"}}}
	if desc, err := parseDescription(labelled, FormatBpfman); desc != nil || err != nil {
		t.Errorf("in an image of another format: %v, %v", desc, err)
	}
}

// Whatever goes wrong on the way has the error a caller decides on.
func TestFetchFails(t *testing.T) {
	t.Parallel()
	good := func(k *kit) { k.image(ours(k.t, file{name: "a.o", content: "x"})) }
	status := func(path string, status int) []testregistry.Fault {
		return []testregistry.Fault{{Method: "GET", Path: path, Do: testregistry.Status(status, "no\x1b[31m")}}
	}
	for name, row := range map[string]struct {
		faults []testregistry.Fault
		push   func(*kit)
		want   error
		text   string
	}{
		"no such image":      {nil, func(*kit) {}, image.ErrNotFound, "v1"},
		"denied":             {status("/manifests/", 403), good, image.ErrUnauthorized, "403"},
		"unauthorised":       {status("/blobs/", 401), good, image.ErrUnauthorized, "401"},
		"server error":       {status("/manifests/", 500), good, nil, "500"},
		"blob is gone":       {status("/blobs/", 404), good, image.ErrNotFound, "sha256:"},
		"blob truncated":     {[]testregistry.Fault{{Path: "/blobs/sha256", Method: "GET", Do: testregistry.Truncate(1)}}, good, nil, "EOF"},
		"blob altered":       {[]testregistry.Fault{{Path: "/blobs/sha256", Method: "GET", Do: testregistry.Corrupt()}}, good, image.ErrDigestMismatch, "sha256:"},
		"manifest altered":   {[]testregistry.Fault{{Path: "/manifests/v1", Do: testregistry.Corrupt()}}, good, nil, ""},
		"manifest too large": {[]testregistry.Fault{{Path: "/manifests/v1", Do: testregistry.Pad(image.MaxManifest + 1)}}, good, image.ErrTooLarge, ""},
		"no layers":          {nil, func(k *kit) { k.image(pushed{tag: "v1"}) }, ErrBadImage, "layers"},
		"seventeen layers": {nil, func(k *kit) {
			k.image(pushed{tag: "v1", layers: make([][]byte, maxLayers+1)})
		}, ErrBadImage, "17 layers"},
		"a huge layer": {nil, func(k *kit) {
			huge := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("huge"), Size: image.MaxLayer + 1}
			k.manifest("v1", ocispec.Manifest{Config: k.blob(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{huge}})
		}, image.ErrTooLarge, "bytes"},
		"layers too large together": {nil, func(k *kit) {
			half := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("half"), Size: image.MaxLayer/2 + 1}
			k.manifest("v1", ocispec.Manifest{Config: k.blob(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{half, half}})
		}, image.ErrTooLarge, "bytes"},
		"a huge config": {nil, func(k *kit) {
			config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("huge"), Size: image.MaxConfig + 1}
			k.manifest("v1", ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{k.blob(ocispec.MediaTypeImageLayer, []byte("x"))}})
		}, image.ErrTooLarge, "config"},
		"a container image": {nil, func(k *kit) {
			k.image(pushed{tag: "v1", layers: [][]byte{archive(k.t, file{name: "bin/sh", content: "x"})}})
		}, ErrUnknownFormat, ocispec.MediaTypeImageConfig},
		"a broken config": {nil, func(k *kit) {
			k.image(pushed{tag: "v1", config: []byte(`{"config":{"Labels":[]}}`), layers: [][]byte{{1}}})
		}, ErrBadImage, "config"},
		"labels in two spellings": {nil, func(k *kit) {
			k.image(pushed{tag: "v1", config: []byte(`{"config":{"Labels":{"a":"b"},"labels":{}}}`), layers: [][]byte{{1}}})
		}, ErrBadImage, "not quite"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, testregistry.Options{})
			row.push(k)
			var h http.Handler = k.registry
			for _, f := range row.faults {
				h = f.Wrap(h)
			}
			_, err := Fetch(t.Context(), source(t, h), k.ref, Options{})
			if err == nil || (row.want != nil && !errors.Is(err, row.want)) || !strings.Contains(err.Error(), row.text) {
				t.Errorf("got %v, want %v with %q", err, row.want, row.text)
			}
		})
	}
}

func TestCheckLayers(t *testing.T) {
	t.Parallel()
	const most, endless = image.MaxLayer, 1<<63 - 1
	for _, row := range []struct {
		sizes []int64
		want  error
	}{
		{[]int64{most}, nil},
		{[]int64{most - 1, 1}, nil},
		{[]int64{most, 1}, image.ErrTooLarge},
		{[]int64{endless}, image.ErrTooLarge},
		{[]int64{1, endless}, image.ErrTooLarge}, // the sum is negative
		{nil, ErrBadImage},
		{make([]int64, maxLayers+1), ErrBadImage},
	} {
		var layers []ocispec.Descriptor
		for _, size := range row.sizes {
			layers = append(layers, ocispec.Descriptor{Size: size})
		}
		if err := checkLayers(ocispec.Manifest{Layers: layers}); !errors.Is(err, row.want) {
			t.Errorf("%v: got %v, want %v", row.sizes, err, row.want)
		}
	}
}

func TestFetchOneDigestOnly(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	other := ours(t, file{name: "evil.o", content: "evil"})
	other.tag = "evil"
	evil := k.image(other)
	good := k.image(ours(t, file{name: "good.o", content: "good"}))

	t.Run("a tag that moves after it was resolved", func(t *testing.T) {
		moves := testregistry.Fault{Path: "/manifests/v1", Skip: 1, Do: testregistry.MoveTo("evil")}
		img, err := Fetch(t.Context(), source(t, moves.Wrap(k.registry)), k.ref, Options{})
		if err != nil || img.Root.Descriptor.Digest != good.Digest || img.Objects[0].File != "good.o" {
			t.Errorf("got %+v (%v)", img, err)
		}
	})
	t.Run("a digest that the registry answers with another image", func(t *testing.T) {
		lies := testregistry.Fault{Path: "/manifests/" + good.Digest.String(), Do: testregistry.MoveTo("evil")}
		_, err := Fetch(t.Context(), source(t, lies.Wrap(k.registry)), k.ref.WithDigest(good.Digest.String()), Options{})
		if !errors.Is(err, image.ErrDigestMismatch) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a source that does not check", func(t *testing.T) {
		_, err := Fetch(t.Context(), careless{k.src, k.ref.WithDigest(evil.Digest.String())}, k.ref.WithDigest(good.Digest.String()), Options{})
		if !errors.Is(err, image.ErrDigestMismatch) {
			t.Errorf("got %v", err)
		}
	})
}

// careless returns the same manifest whatever it is asked for.
type careless struct {
	image.Source
	always image.Reference
}

func (c careless) Manifest(ctx context.Context, _ image.Reference) (image.Manifest, error) {
	return c.Source.Manifest(ctx, c.always)
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	k.image(ours(t, file{name: "a.o", content: "x"}))
	for _, path := range []string{"/manifests/v1", "/blobs/", "/referrers/", ".sig", ".att"} {
		ctx, cancel := context.WithCancel(t.Context())
		h := testregistry.Fault{Path: path, Do: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			cancel()
			<-r.Context().Done()
		}}.Wrap(k.registry)
		if _, err := Fetch(ctx, source(t, h), k.ref, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", path, err)
		}
		cancel()
	}
}

// endsLate is a source that ends the context of a fetch when there is nothing left
// to fetch but signatures.
type endsLate struct {
	image.Source
	blobs *sync.WaitGroup // the config and the layer
	end   context.CancelFunc
}

func (s endsLate) Blob(ctx context.Context, ref image.Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	defer s.blobs.Done()
	return s.Source.Blob(ctx, ref, desc, limit)
}

func (s endsLate) Referrers(ctx context.Context, _ image.Reference) ([]ocispec.Descriptor, error) {
	s.blobs.Wait()
	s.end()
	return nil, ctx.Err()
}

// TestFetchEndsLate: an image without the signatures that there was no time for
// would look like one that nobody signed.
func TestFetchEndsLate(t *testing.T) {
	t.Parallel()
	k, _ := signed(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := endsLate{k.src, new(sync.WaitGroup), cancel}
	s.blobs.Add(2)
	if img, err := Fetch(ctx, s, k.ref, Options{}); img != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v (%v)", img, err)
	}
}
