// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func manifestOf(mediaType, text string) image.Manifest {
	return image.Manifest{Descriptor: descriptor(mediaType, []byte(text)), Bytes: []byte(text)}
}

func TestParseManifest(t *testing.T) {
	t.Parallel()
	const imageType = ocispec.MediaTypeImageManifest
	blob := `{"mediaType":"x","digest":"` + digest.FromString("x").String() + `","size":1}`
	with := func(members string) string { return `{"schemaVersion":2,` + members + `}` }
	body := `"config":` + blob + `,"layers":[` + blob + `]`
	for name, row := range map[string]struct {
		mediaType, text string
		ok              bool
	}{
		"plain":                               {imageType, with(body), true},
		"its own type":                        {imageType, with(`"mediaType":"` + imageType + `",` + body), true},
		"docker's":                            {dockerManifest, with(body), true},
		"annotations spell freely":            {imageType, with(body + `,"annotations":{"Layers":"a","layers":"b","Size":"c"}`), true},
		"unknown keys":                        {imageType, with(body + `,"later":{"deep":[1]}`), true},
		"another type inside":                 {imageType, with(`"mediaType":"` + dockerManifest + `",` + body), false},
		"an index too":                        {imageType, with(body + `,"manifests":[]`), false},
		"an index too, null":                  {imageType, with(body + `,"manifests":null`), false},
		"no config":                           {imageType, with(`"layers":[` + blob + `]`), false},
		"layers twice":                        {imageType, with(body + `,"layers":[]`), false},
		"Layers":                              {imageType, with(body + `,"Layers":[]`), false},
		"layers with a long s":                {imageType, with(body + `,"layer\u017f":[]`), false},
		"layers and a byte that is not UTF-8": {imageType, with(body + ",\"layers\xff\":[]"), false},
		"such a key of its own":               {imageType, with(body + ",\"x\":{\"\xff\":[]}"), false},
		"too many elements":                   {imageType, with(body + `,"x":[` + strings.Repeat("0,", 40_000) + `0]`), false},
		"digest twice in a layer":             {imageType, with(`"config":` + blob + `,"layers":[{"digest":"a","digest":"b"}]`), false},
		"schema version 1":                    {imageType, `{"schemaVersion":1,` + body + `}`, false},
		"no schema version":                   {imageType, `{` + body + `}`, false},
		"trailing data":                       {imageType, with(body) + `{}`, false},
		"not JSON":                            {imageType, `{"schemaVersion":2,`, false},
		"an array":                            {imageType, `[]`, false},
		"null":                                {imageType, `null`, false},
		"an index's media type":               {ocispec.MediaTypeImageIndex, with(body), false},
		"an unknown media type":               {"application/json", with(body), false},
		"sha512":                              {imageType, with(`"config":{"digest":"` + digest.SHA512.FromString("x").String() + `","size":1},"layers":[]`), true},
		"sha384":                              {imageType, with(`"config":{"digest":"` + digest.SHA384.FromString("x").String() + `","size":1},"layers":[]`), false},
		"half a sha512":                       {imageType, with(`"config":{"digest":"sha512:` + strings.Repeat("0", 64) + `","size":1},"layers":[]`), false},
		"a digest that is a path":             {imageType, with(`"config":{"digest":"sha256:../../../etc/passwd","size":1},"layers":[]`), false},
		"a negative size":                     {imageType, with(`"config":` + strings.Replace(blob, `"size":1`, `"size":-1`, 1) + `,"layers":[]`), false},
		"a size that is not a number":         {imageType, with(`"config":` + strings.Replace(blob, `"size":1`, `"size":"1"`, 1) + `,"layers":[]`), false},
		"nested":                              {imageType, with(body + `,"x":` + strings.Repeat(`{"x":`, 5000) + `1` + strings.Repeat("}", 5000)), false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseManifest(manifestOf(row.mediaType, row.text))
			if row.ok != (err == nil) || (err != nil && !errors.Is(err, ErrBadImage)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestParseIndex(t *testing.T) {
	t.Parallel()
	blob := `{"mediaType":"x","digest":"` + digest.FromString("x").String() + `","size":1}`
	for name, row := range map[string]struct {
		text string
		ok   bool
	}{
		"plain":            {`{"schemaVersion":2,"manifests":[` + blob + `]}`, true},
		"empty":            {`{"schemaVersion":2,"manifests":[]}`, true},
		"an image too":     {`{"schemaVersion":2,"manifests":[` + blob + `],"config":` + blob + `}`, false},
		"layers too":       {`{"schemaVersion":2,"manifests":[` + blob + `],"layers":[]}`, false},
		"no entries":       {`{"schemaVersion":2}`, false},
		"too many entries": {`{"schemaVersion":2,"manifests":[` + blob + strings.Repeat(","+blob, maxIndexEntries) + `]}`, false},
		"a broken digest":  {`{"schemaVersion":2,"manifests":[{"digest":"x","size":1}]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseIndex(manifestOf(ocispec.MediaTypeImageIndex, row.text))
			if row.ok != (err == nil) || (err != nil && !errors.Is(err, ErrBadImage)) {
				t.Errorf("got %v", err)
			}
		})
	}
}
