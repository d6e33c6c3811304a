// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// named is the input under another name.
func named(in build.Input, name string) build.Input {
	in.Name = name
	return in
}

// bigObject is counterObject for big-endian CPUs.
const bigObject = "bpf/testdata/counter_eb.bpf.o"

// mustIndex builds into a fresh memory sink.
func mustIndex(t testing.TB, opts build.Options, variants ...build.Variant) (*memory, build.IndexResult) {
	t.Helper()
	sink := &memory{}
	result, err := build.Index(t.Context(), sink, reference(t, "localhost:5000/net/thing:v1"), variants, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sink, result
}

// threePlatforms is an index with everything in it: two byte orders, a variant,
// and a program that one platform lacks.
func threePlatforms(t testing.TB) []build.Variant {
	counter := object(t, counterObject)
	return []build.Variant{
		{Platform: "linux/s390x", Inputs: []build.Input{named(object(t, bigObject), "counter.bpf.o")}},
		{Platform: "linux/arm/v7", Inputs: []build.Input{counter}},
		{Platform: "linux/amd64", Inputs: []build.Input{counter, object(t, bytesObject)}},
	}
}

func TestIndex(t *testing.T) {
	t.Parallel()
	opts := rich(time.Unix(1700000000, 0)) // with defaults of programs that only amd64 has
	sink, result := mustIndex(t, opts, threePlatforms(t)...)
	var index ocispec.Index
	if err := json.Unmarshal(sink.manifest.Bytes, &index); err != nil {
		t.Fatal(err)
	}
	if index.SchemaVersion != 2 || index.MediaType != ocispec.MediaTypeImageIndex || index.ArtifactType != "" {
		t.Errorf("index of version %d, %q, %q", index.SchemaVersion, index.MediaType, index.ArtifactType)
	}
	if diff := cmp.Diff(sink.manifest, result.Manifest); diff != "" {
		t.Errorf("result (-stored +returned):\n%s", diff)
	}
	var platforms []string
	for i, im := range result.Images {
		platforms = append(platforms, im.Platform)
		entry := index.Manifests[i]
		got := strings.TrimSuffix(entry.Platform.OS+"/"+entry.Platform.Architecture+"/"+entry.Platform.Variant, "/")
		if got != im.Platform || entry.Digest != im.Manifest.Descriptor.Digest || entry.ArtifactType != "" {
			t.Errorf("entry %+v is not %s %s", entry, im.Platform, im.Manifest.Descriptor.Digest)
		}
		stored := func(m image.Manifest) bool { return bytes.Equal(m.Bytes, im.Manifest.Bytes) }
		if !slices.ContainsFunc(sink.children, stored) {
			t.Errorf("%s is not stored", im.Platform)
		}
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm/v7", "linux/s390x"}, platforms); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	for key, want := range map[string]string{
		ocispec.AnnotationTitle: "rich", ocispec.AnnotationVersion: "v2", ocispec.AnnotationCreated: "2023-11-14T22:13:20Z",
		"org.example.b": "b", schemas.LabelPrograms: "", schemas.LabelDescription: "", "x": "",
	} {
		if index.Annotations[key] != want {
			t.Errorf("annotation %s is %q, want %q", key, index.Annotations[key], want)
		}
	}
}

// TestIndexHoldsWhatBuildMakes: an image does not depend on the index it is in.
func TestIndexHoldsWhatBuildMakes(t *testing.T) {
	t.Parallel()
	variants := threePlatforms(t)
	_, result := mustIndex(t, build.Options{}, variants...)
	for _, v := range variants {
		_, alone := mustBuild(t, build.Options{Platform: v.Platform}, v.Inputs...)
		same := func(im build.PlatformImage) bool {
			return im.Platform == v.Platform && cmp.Equal(im.Result, alone)
		}
		if !slices.ContainsFunc(result.Images, same) {
			t.Errorf("%s is another image in the index", v.Platform)
		}
	}
}

func TestIndexOrderOfArguments(t *testing.T) {
	t.Parallel()
	variants := threePlatforms(t)
	opts := rich(time.Unix(1700000000, 0))
	first, _ := mustIndex(t, opts, variants...)
	slices.Reverse(variants)
	second, _ := mustIndex(t, opts, variants...)
	if diff := cmp.Diff(string(first.manifest.Bytes), string(second.manifest.Bytes)); diff != "" {
		t.Errorf("another order gives another index:\n%s", diff)
	}
}

// TestIndexSharesBlobs: what two platforms have in common is written once.
func TestIndexSharesBlobs(t *testing.T) {
	t.Parallel()
	counter := []build.Input{object(t, counterObject)}
	sink, _ := mustIndex(t, build.Options{}, build.Variant{Platform: "linux/amd64", Inputs: counter}, build.Variant{Platform: "linux/arm64", Inputs: counter})
	if len(sink.blobs) != 3 { // one layer, two configs
		t.Errorf("%d blobs, want 3", len(sink.blobs))
	}
}

func TestIndexRefused(t *testing.T) {
	t.Parallel()
	counter, big := object(t, counterObject), object(t, bigObject)
	variant := func(platform string, inputs ...build.Input) build.Variant {
		return build.Variant{Platform: platform, Inputs: inputs}
	}
	ghost := schemas.BuildFile{Programs: map[string]schemas.ProgramDefaults{"ghost": {Attach: "xdp"}}}
	many := slices.Repeat([]build.Variant{variant("linux/amd64", counter)}, build.MaxPlatforms+1)
	for _, tc := range []struct {
		name     string
		variants []build.Variant
		opts     build.Options
		want     error
		text     string
	}{
		{"nothing", nil, build.Options{}, build.ErrInput, "no platform given"},
		{"too many", many, build.Options{}, build.ErrInput, "49 platforms"},
		{"a platform for all", []build.Variant{variant("linux/amd64", counter)}, build.Options{Platform: "linux/arm64"}, build.ErrOptions, "beside those"},
		{"the same twice", []build.Variant{variant("linux/arm64", counter), variant("linux/arm64", counter)}, build.Options{}, build.ErrInput, "two images are for linux/arm64"},
		{"the same in other words", []build.Variant{variant("linux/aarch64", counter), variant("linux/arm64/v8", counter)}, build.Options{}, build.ErrInput, "two images are for linux/arm64"},
		{"byte order", []build.Variant{variant("linux/amd64", counter), variant("linux/arm64", big)}, build.Options{}, build.ErrOptions, "linux/arm64: "},
		{"no objects", []build.Variant{variant("linux/amd64", counter), variant("linux/arm64")}, build.Options{}, build.ErrInput, "linux/arm64: "},
		{"one name twice", []build.Variant{variant("linux/amd64", counter, counter)}, build.Options{}, build.ErrInput, "two objects are called"},
		{"a program nobody has", []build.Variant{variant("linux/amd64", counter), variant("linux/s390x", big)}, build.Options{File: ghost}, build.ErrOptions, `program "ghost"; the objects have: `},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sink := &memory{}
			_, err := build.Index(t.Context(), sink, reference(t, "localhost:5000/a"), tc.variants, tc.opts)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got error %v, want %v with %s", err, tc.want, tc.text)
			}
			if sink.blobs != nil || sink.children != nil || sink.manifest.Bytes != nil {
				t.Error("something was written")
			}
		})
	}
}

// TestIndexOfMostPlatforms: the bound is below that of whoever copies it.
func TestIndexOfMostPlatforms(t *testing.T) {
	t.Parallel()
	counter := []build.Input{object(t, counterObject)}
	var variants []build.Variant
	for i := range build.MaxPlatforms {
		variants = append(variants, build.Variant{Platform: fmt.Sprintf("linux/cpu%d", i), Inputs: counter})
	}
	if _, result := mustIndex(t, build.Options{}, variants...); len(result.Images) != build.MaxPlatforms {
		t.Errorf("%d images", len(result.Images))
	}
}

func TestIndexSinkFails(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	_, err := build.Index(t.Context(), &memory{refuse: full}, reference(t, "localhost:5000/a"), threePlatforms(t), build.Options{})
	if !errors.Is(err, full) {
		t.Errorf("got error %v, want %v", err, full)
	}
}

// TestVariants: what file names say about platforms.
func TestVariants(t *testing.T) {
	t.Parallel()
	little := "386 amd64 arm arm64 loong64 mips64le mipsle ppc64le riscv64"
	for _, tc := range []struct {
		name, files, platforms string
		want                   []string // arch and its files
		err                    string
	}{
		{"one object", "a.o", "", []string{": a.o"}, ""},
		{"several", "b.o a.o", "", []string{": b.o a.o"}, ""},
		{"one with an ending", "a_arm64_bpfel.o", "", []string{": a_arm64_bpfel.o"}, ""},
		{"nothing to choose from", "a_x86_bpfel.o b_bpfel.o c.o", "", []string{": a_x86_bpfel.o b_bpfel.o c.o"}, ""},
		{"for several", "a.o b.o", "linux/arm64 linux/amd64 linux/arm64/v8", []string{"linux/arm64: a.o b.o", "linux/amd64: a.o b.o"}, ""},
		{
			"two CPUs", "a_x86_bpfel.o a_arm64_bpfel.o", "",
			[]string{"linux/386: a_x86_bpfel.o", "linux/amd64: a_x86_bpfel.o", "linux/arm64: a_arm64_bpfel.o"},
			"",
		},
		{
			"obsolete ending", "a_bpfel_x86.o a_bpfel_arm64.o", "linux/x86_64",
			[]string{"linux/x86_64: a_bpfel_x86.o"},
			"",
		},
		{
			"a pair and one of its own", "a_bpfel.o a_bpfeb.o a_s390_bpfeb.o", "",
			append(slices.Concat(each(little, "a_bpfel.o"), each("mips mips64 ppc64", "a_bpfeb.o")), "linux/s390x: a_s390_bpfeb.o"), "",
		},
		{
			"two programs", "z_x86_bpfel.o z_arm64_bpfel.o a_bpfel.o", "",
			[]string{"linux/386: z_x86_bpfel.o a_bpfel.o", "linux/amd64: z_x86_bpfel.o a_bpfel.o", "linux/arm64: z_arm64_bpfel.o a_bpfel.o"},
			"",
		},
		{
			"those wanted", "a_bpfel.o a_bpfeb.o", "linux/s390x linux/amd64",
			[]string{"linux/s390x: a_bpfeb.o", "linux/amd64: a_bpfel.o"},
			"",
		},
		{"one is missing", "a_x86_bpfel.o a_arm64_bpfel.o b_x86_bpfel.o", "", nil, `no object of "b" for linux/arm64`},
		{"half of a pair is missing", "a_bpfel.o a_bpfeb.o b_bpfel.o", "", nil, `no object of "b" for linux/mips`},
		{"one wanted is missing", "a_x86_bpfel.o a_arm64_bpfel.o", "linux/s390x", nil, `no object of "a" for linux/s390x`},
		{"mixed", "a_x86_bpfel.o a_arm64_bpfel.o b.o", "", nil, `that of "b.o" does not; say it of each object, such as linux/amd64=b.o`},
		{"mixed, with one stem", "a.o a_x86_bpfel.o a_arm64_bpfel.o", "", nil, `that of "a.o" does not`},
		{"one target twice", "x/a_x86_bpfel.o y/a_bpfel_x86.o", "", nil, `"x/a_x86_bpfel.o" and "y/a_bpfel_x86.o"`},
		{"no platform", "a.o", "arm64", nil, "want os/arch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var inputs []build.Input
			for name := range strings.FieldsSeq(tc.files) {
				inputs = append(inputs, build.Input{Name: name})
			}
			variants, err := build.Variants(inputs, strings.Fields(tc.platforms))
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range variants {
				line := v.Platform + ":"
				for _, in := range v.Inputs {
					line += " " + in.Name
				}
				got = append(got, line)
			}
			slices.Sort(tc.want)
			slices.Sort(got)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("variants (-want +got):\n%s", diff)
			}
		})
	}
}

// each is file for each arch.
func each(archs, file string) (lines []string) {
	for arch := range strings.FieldsSeq(archs) {
		lines = append(lines, fmt.Sprintf("linux/%s: %s", arch, file))
	}
	return lines
}

// TestGoldenIndex pins every byte of an index and, by their digests, of its
// images, as [TestGolden] does of images.
func TestGoldenIndex(t *testing.T) {
	t.Parallel()
	sink, _ := mustIndex(t, build.Options{File: schemas.BuildFile{Name: "thing", Version: "v1"}}, threePlatforms(t)...)
	var out bytes.Buffer
	if err := json.Indent(&out, sink.manifest.Bytes, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	compareGolden(t, filepath.Join("testdata", "index.golden.json"), out.Bytes())
}
