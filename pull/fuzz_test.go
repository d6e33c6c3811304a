// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzUnpack feeds foreign layers. The layer's own digest is put into the
// config, as an attacker would.
func FuzzUnpack(f *testing.F) {
	t := &testing.T{}
	content := archive(t, file{name: "a.o", content: "x"}, file{name: "b.o", content: "y", pax: map[string]string{"comment": "c"}})
	f.Add(content, false, false)
	f.Add(zipped(t, content), true, true)
	f.Add(zipped(t, archive(t, file{name: "./", kind: '5'}, file{name: "../x.o"})), true, false)
	f.Add(archivePAXSparse(t), false, false)
	f.Add(append(bytes.Clone(content), 1), false, true)
	f.Fuzz(func(t *testing.T, data []byte, gzipped, strict bool) {
		mediaType, r := ocispec.MediaTypeImageLayer, looseRules
		if gzipped {
			mediaType = ocispec.MediaTypeImageLayerGzip
		}
		if strict {
			r = strictRules
		}
		const limit = 1 << 20
		unpacked := data
		if gzipped {
			unpacked = nil // its digest cannot be known here
		}
		objects, err := unpackWithin(layerOf(unpacked, data, mediaType), r, &budget{limit, 100})
		if err != nil {
			if !errors.Is(err, ErrBadImage) {
				t.Errorf("another kind of error: %v", err)
			}
			return
		}
		total, names := 0, map[string]bool{}
		for _, o := range objects {
			total += len(o.Bytes)
			if names[o.File] || checkFileName(o.File) != nil || o.Digest != digest.FromBytes(o.Bytes).String() {
				t.Errorf("accepted %q", o.File)
			}
			names[o.File] = true
		}
		if len(objects) == 0 || total > limit {
			t.Errorf("%d objects of %d bytes", len(objects), total)
		}
	})
}

func FuzzParseManifest(f *testing.F) {
	blob := `{"mediaType":"x","digest":"` + digest.FromString("x").String() + `","size":1}`
	f.Add([]byte(`{"schemaVersion":2,"config":` + blob + `,"layers":[` + blob + `],"annotations":{"a":"b"}}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[` + blob + `,{"platform":{"os":"linux","architecture":"arm64"}}]}`))
	f.Add([]byte(`{"schemaVersion":2,"layers":[],"Layers":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		asImage := manifestOf(ocispec.MediaTypeImageManifest, string(data))
		asIndex := manifestOf(ocispec.MediaTypeImageIndex, string(data))
		m, err := parseManifest(asImage)
		entries, indexErr := parseIndex(asIndex)
		if err == nil && indexErr == nil {
			t.Error("one document is both an image and an index")
		}
		if err != nil && !errors.Is(err, ErrBadImage) || indexErr != nil && !errors.Is(indexErr, ErrBadImage) {
			t.Errorf("another kind of error: %v, %v", err, indexErr)
		}
		if err == nil {
			if err := checkLayers(m); err == nil && m.Config.Digest.Validate() != nil {
				t.Errorf("accepted config %q", m.Config.Digest)
			}
		}
		if indexErr == nil {
			if e, err := pick(entries, schemas.NewPlatform("linux", "amd64", "")); err == nil && !isImage(e.MediaType) {
				t.Errorf("chose %+v", e)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"config":{"Labels":{"dev.bpfimg.description":"{\"schemaVersion\":1,\"objects\":[]}"}},"rootfs":{"diff_ids":["sha256:x"]}}`))
	f.Add([]byte(`{"config":{"Labels":{"dev.bpfimg.description":"{\"schemaVersion\":9}"}}}`))
	f.Add([]byte(`{"config":null,"Config":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfig(ocispec.MediaTypeImageConfig, data)
		if err != nil {
			if !errors.Is(err, ErrBadImage) {
				t.Errorf("another kind of error: %v", err)
			}
			return
		}
		desc, err := parseDescription(contents{config: c}, FormatBpfimg)
		if err != nil && !errors.Is(err, ErrBadImage) && !errors.Is(err, ErrNewer) {
			t.Errorf("another kind of error: %v", err)
		}
		if desc != nil && (desc.SchemaVersion < 1 || desc.SchemaVersion > schemas.DescriptionVersion) {
			t.Errorf("accepted schema version %d", desc.SchemaVersion)
		}
	})
}

// FuzzCheckJSON compares the check with encoding/json: it must refuse all that
// is not JSON, and in what it accepts no key may be there twice.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}],"c":"d"}`, `{"a":1,"a":2}`, `[[[[`, `{"Labels":{"Size":"x"}}`, `1 2`, `{"a":1,"\u0061":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := checkJSON(data); err == nil && !json.Valid(data) {
			t.Errorf("accepted %q", data)
		}
	})
}
