// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	counter := object(t, counterObject)
	renamed := func(name string) build.Input { return build.Input{Name: name, Bytes: counter.Bytes} }
	attach := func(program, hook string) build.Options {
		return build.Options{File: schemas.BuildFile{Programs: map[string]schemas.ProgramDefaults{program: {Attach: hook}}}}
	}
	for _, tc := range []struct {
		name   string
		inputs []build.Input
		opts   build.Options
		want   error
		text   string
	}{
		{"no inputs", nil, build.Options{}, build.ErrInput, "no object given"},
		{"too many", make([]build.Input, build.MaxObjects+1), build.Options{}, build.ErrInput, "1001 objects"},
		{"not an ELF", []build.Input{{Name: "a.o", Bytes: []byte("hello")}}, build.Options{}, inspect.ErrNotBPF, `"a.o"`},
		{"same name", []build.Input{counter, renamed("x/counter.bpf.o")}, build.Options{}, build.ErrInput, `two objects are called "counter.bpf.o"`},
		{"same name with suffix", []build.Input{renamed("a"), renamed("a.o")}, build.Options{}, build.ErrInput, `two objects are called "a.o"`},
		{"same program", []build.Input{counter, renamed("b.o")}, build.Options{}, build.ErrInput, `program "xdp_count" is in "counter.bpf.o" and in "b.o"`},
		{"no name", []build.Input{renamed("")}, build.Options{}, build.ErrInput, "no file name"},
		{"folder", []build.Input{renamed("..")}, build.Options{}, build.ErrInput, "starts with a dot"},
		{"whiteout", []build.Input{renamed(".wh.a.o")}, build.Options{}, build.ErrInput, "starts with a dot"},
		{"escape", []build.Input{renamed("a\x1b[31m.o")}, build.Options{}, build.ErrInput, `"a\x1b[31m.o"`},
		{"newline", []build.Input{renamed("a\n.o")}, build.Options{}, build.ErrInput, "printable ASCII"},
		{"umlaut", []build.Input{renamed("ä.o")}, build.Options{}, build.ErrInput, `holds 'ä'; use printable ASCII`},
		{"long name", []build.Input{renamed(strings.Repeat("a", 99))}, build.Options{}, build.ErrInput, "longer than 98"},
		{"our label", []build.Input{counter}, build.Options{Labels: map[string]string{schemas.LabelMaps: "{}"}}, build.ErrOptions, schemas.LabelMaps},
		{
			"our old label in the file",
			[]build.Input{counter},
			build.Options{File: schemas.BuildFile{Labels: map[string]string{schemas.LabelOldFilename: "x"}}},
			build.ErrOptions, schemas.LabelOldFilename,
		},
		{
			"our annotation",
			[]build.Input{counter},
			build.Options{Annotations: map[string]string{"dev.bpfimg.new": "x"}},
			build.ErrOptions, "dev.bpfimg.new",
		},
		{
			"creation time",
			[]build.Input{counter},
			build.Options{Labels: map[string]string{ocispec.AnnotationCreated: "2020-01-01T00:00:00Z"}},
			build.ErrOptions, ocispec.AnnotationCreated,
		},
		{"empty key", []build.Input{counter}, build.Options{Labels: map[string]string{"": "x"}}, build.ErrOptions, "has no name"},
		{"key with newline", []build.Input{counter}, build.Options{Labels: map[string]string{"a\nb": "x"}}, build.ErrOptions, `"a\nb"`},
		{"value not UTF-8", []build.Input{counter}, build.Options{Annotations: map[string]string{"a": "\xff"}}, build.ErrOptions, "not UTF-8"},
		{
			"huge annotation",
			[]build.Input{counter},
			build.Options{Annotations: map[string]string{"a": strings.Repeat("x", image.MaxManifest)}},
			image.ErrTooLarge, "manifest is",
		},
		{
			"huge label",
			[]build.Input{counter},
			build.Options{Labels: map[string]string{"a": strings.Repeat("x", image.MaxConfig)}},
			image.ErrTooLarge, "config is",
		},
		{"platform word", []build.Input{counter}, build.Options{Platform: "amd64"}, build.ErrOptions, "want os/arch"},
		{"platform part", []build.Input{counter}, build.Options{Platform: "linux/"}, build.ErrOptions, "no os, architecture"},
		{"platform endianness", []build.Input{counter}, build.Options{Platform: "linux/s390x"}, build.ErrOptions, "little-endian and cannot run on linux/s390x"},
		{"before the epoch", []build.Input{counter}, build.Options{Created: time.Unix(-1, 0)}, build.ErrOptions, "1970"},
		{"after 9999", []build.Input{counter}, build.Options{Created: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, build.ErrOptions, "9999"},
		{"unknown program", []build.Input{counter}, attach("xdp_cuont", "xdp"), build.ErrOptions, `program "xdp_cuont"; the objects have: xdp_count`},
		{"unknown hook", []build.Input{counter}, attach("xdp_count", "xpd"), build.ErrOptions, `hook "xpd"; hooks for it: xdp`},
		{"hook of another type", []build.Input{counter}, attach("xdp_count", "kprobe:f"), build.ErrOptions, `type xdp does not go to hook "kprobe"`},
		{"unknown option", []build.Input{counter}, attach("xdp_count", "xdp,mod=x"), build.ErrOptions, `no option "mod"; options it takes: mode`},
		{"option value", []build.Input{counter}, attach("xdp_count", "xdp,mode=fast"), build.ErrOptions, `cannot be "fast"`},
		{"no hook", []build.Input{counter}, attach("xdp_count", ""), build.ErrOptions, "has no name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sink := &memory{}
			_, err := build.Build(t.Context(), sink, reference(t, "localhost:5000/a"), tc.inputs, tc.opts)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got error %v, want %v with %s", err, tc.want, tc.text)
			}
			if sink.blobs != nil || sink.manifest.Bytes != nil {
				t.Error("something was written")
			}
		})
	}
}

func TestSinkFails(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	_, err := build.Build(t.Context(), &memory{refuse: full}, reference(t, "localhost:5000/a"), []build.Input{object(t, counterObject)}, build.Options{})
	if !errors.Is(err, full) {
		t.Errorf("got error %v, want %v", err, full)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := build.Build(ctx, &memory{}, reference(t, "localhost:5000/a"), []build.Input{object(t, counterObject)}, build.Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

// config returns the image config of a build.
func config(t *testing.T, sink *memory) ocispec.Image {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(sink.manifest.Bytes, &m); err != nil {
		t.Fatal(err)
	}
	var c ocispec.Image
	if err := json.Unmarshal(sink.blobs[m.Config.Digest], &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAndLabels(t *testing.T) {
	t.Parallel()
	opts := rich(time.Time{})
	opts.File.Source = "https://example.com"
	sink, result := mustBuild(t, opts, object(t, counterObject), object(t, bytesObject), object(t, unlinkObject))
	labels := config(t, sink).Config.Labels
	for key, want := range map[string]string{
		schemas.LabelPrograms:         `{"count_unlink":"kprobe","tc_egress":"tc","tc_ingress":"tc","time_unlink":"kretprobe","xdp_count":"xdp"}`,
		ocispec.AnnotationTitle:       "rich",
		ocispec.AnnotationVersion:     "v2",
		ocispec.AnnotationCreated:     "1970-01-01T00:00:00Z",
		ocispec.AnnotationSource:      "https://example.com",
		ocispec.AnnotationDescription: "",
		"org.example.a":               "A", // the flag wins over the file
		"org.example.b":               "b",
	} {
		if labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, labels[key], want)
		}
	}
	var hooks map[string]schemas.ProgramHook
	if err := json.Unmarshal([]byte(labels[schemas.LabelHooks]), &hooks); err != nil {
		t.Fatal(err)
	}
	want := schemas.ProgramHook{Type: "sched_cls", Section: "tc/egress", Hook: "tc", Target: "eth0"}
	if diff := cmp.Diff(want, hooks["tc_egress"]); diff != "" {
		t.Errorf("hook (-want +got):\n%s", diff)
	}
	var described schemas.Description
	if err := json.Unmarshal([]byte(labels[schemas.LabelDescription]), &described); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result.Description, described); diff != "" {
		t.Errorf("description in the label (-result +label):\n%s", diff)
	}
	ingress := described.Objects[1].Programs[1]
	if diff := cmp.Diff(map[string]string{"direction": "ingress", "priority": "5", "handle": "1"}, ingress.Options); diff != "" {
		t.Errorf("options of %s (-want +got):\n%s", ingress.Name, diff)
	}
}

// TestDefaultChangesHook: what the section said of another hook is forgotten.
func TestDefaultChangesHook(t *testing.T) {
	t.Parallel()
	file := schemas.BuildFile{Programs: map[string]schemas.ProgramDefaults{"count_unlink": {Attach: "kretprobe"}}}
	_, result := mustBuild(t, build.Options{File: file}, object(t, unlinkObject))
	p := result.Description.Objects[0].Programs[0]
	if p.Hook != "kretprobe" || p.Target != "" {
		t.Errorf("program %s goes to %s:%s, want kretprobe and no target", p.Name, p.Hook, p.Target)
	}
}

func TestTitleWithoutFile(t *testing.T) {
	t.Parallel()
	in := object(t, counterObject)
	in.Name = "/some/where/prog.elf"
	sink, result := mustBuild(t, build.Options{}, in)
	labels := config(t, sink).Config.Labels
	if labels[ocispec.AnnotationTitle] != "prog" || result.Description.Objects[0].File != "prog.elf.o" {
		t.Errorf("title %q, file %q; want prog, prog.elf.o", labels[ocispec.AnnotationTitle], result.Description.Objects[0].File)
	}
	if _, ok := labels[ocispec.AnnotationVersion]; ok {
		t.Error("a version nobody gave")
	}
}

func TestPlatform(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ asked, want string }{
		{"", "linux/amd64"}, {"linux/arm64", "linux/arm64"}, {"linux/arm/v7", "linux/arm/v7"}, {"linux/newarch", "linux/newarch"},
	} {
		sink, _ := mustBuild(t, build.Options{Platform: tc.asked}, object(t, bytesObject))
		p := config(t, sink).Platform
		got := strings.TrimSuffix(p.OS+"/"+p.Architecture+"/"+p.Variant, "/")
		if got != tc.want {
			t.Errorf("platform %q gives %s, want %s", tc.asked, got, tc.want)
		}
	}
}

// TestForeignObjects builds every object of cilium/ebpf's examples and tests and
// of Debian's xdp-tools, or refuses it in words.
func TestForeignObjects(t *testing.T) {
	t.Parallel()
	built, refused := 0, 0
	ref := reference(t, "localhost:5000/foreign")
	for _, path := range foreignObjects(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		result, err := build.Build(t.Context(), &memory{}, ref, []build.Input{{Name: path, Bytes: data}}, build.Options{})
		if err != nil {
			refused++
			known := func(want error) bool { return errors.Is(err, want) }
			if !slices.ContainsFunc([]error{build.ErrInput, inspect.ErrNotBPF, inspect.ErrUnreadable, inspect.ErrNoPrograms}, known) {
				t.Errorf("%s: refused without a reason a caller knows: %v", path, err)
			}
			t.Logf("%s: %v", filepath.Base(path), err)
			continue
		}
		built++
		big := strings.HasSuffix(path, "-eb.elf") || strings.HasSuffix(path, "_bpfeb.o")
		if big != (result.Description.Objects[0].Endianness == "big") {
			t.Errorf("%s: endianness %s", path, result.Description.Objects[0].Endianness)
		}
	}
	t.Logf("%d built, %d refused", built, refused)
	if built < 60 {
		t.Errorf("only %d objects could be built", built)
	}
}

// foreignObjects lists objects nobody here compiled.
func foreignObjects(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cilium/ebpf").Output()
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	err = filepath.WalkDir(strings.TrimSpace(string(out)), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".elf") || strings.HasSuffix(path, ".o") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Not there where xdp-tools is not installed; .ci/install brings it.
	debian, err := filepath.Glob("/usr/lib/*/bpf/*.o")
	if err != nil {
		t.Fatal(err)
	}
	return append(paths, debian...)
}

func TestEndianness(t *testing.T) {
	t.Parallel()
	var little, big build.Input
	for _, path := range foreignObjects(t) {
		if filepath.Base(filepath.Dir(path)) != "xdp" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(path, "_bpfeb.o") {
			big = build.Input{Name: path, Bytes: data}
		} else {
			little = build.Input{Name: path, Bytes: data}
		}
	}
	sink, _ := mustBuild(t, build.Options{}, big)
	if arch := config(t, sink).Architecture; arch != "s390x" {
		t.Errorf("big-endian object is for %s, want s390x", arch)
	}
	_, err := build.Build(t.Context(), &memory{}, reference(t, "localhost:5000/a"), []build.Input{little, big}, build.Options{})
	if !errors.Is(err, build.ErrInput) || !strings.Contains(err.Error(), "big-endian") {
		t.Errorf("mixed endianness: got error %v", err)
	}
}

func BenchmarkBuild200(b *testing.B) {
	in := object(b, counterObject)
	ref := reference(b, "localhost:5000/bench")
	for b.Loop() {
		for i := range 200 {
			in.Name = fmt.Sprintf("object%d.o", i)
			if _, err := build.Build(b.Context(), &memory{}, ref, []build.Input{in}, build.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
