// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/verify"
)

// objCore asks the kernel's types for everything a relocation can ask for.
const objCore = "testdata/core.bpf.o"

// ownBTF is that of the kernel which runs the test.
func ownBTF(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(kernelTypes)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("SKIP-REASON: runs on kernels with BTF")
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// builtWith builds an image of files whose archive holds BTF by release, and
// fetches it as a node does.
func builtWith(t *testing.T, archive map[string][]byte, files ...string) *verify.Verified {
	t.Helper()
	dir := t.TempDir()
	for release, data := range archive {
		if err := os.WriteFile(filepath.Join(dir, release+".btf"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var inputs []build.Input
	for _, f := range files {
		inputs = append(inputs, build.Input{Name: filepath.Base(f), Bytes: must[[]byte](t)(os.ReadFile(f))})
	}
	store := must[*image.Store](t)(image.OpenStore(t.TempDir()))
	ref := must[image.Reference](t)(image.ParseReference("registry.example/core:v1"))
	opts := build.Options{Platform: "linux/" + runtime.GOARCH, BTFArchive: dir}
	must[build.Result](t)(build.Build(t.Context(), store, ref, inputs, opts))
	img := must[*pull.Image](t)(pull.Fetch(t.Context(), store, ref, pull.Options{}))
	return must[*verify.Verified](t)(verify.Skip(img, slog.New(slog.DiscardHandler)))
}

// answers runs objCore and returns what it found out.
func (b *bench) answers(v *verify.Verified, opts RunOptions) (string, error) {
	b.t.Helper()
	r, err := b.Run(b.t.Context(), v, opts)
	if err != nil {
		return "", err
	}
	defer b.stop(r.Instance)
	var out []string
	for _, m := range r.Instance.Maps {
		if m.Name != ".bss" {
			continue
		}
		_, text := b.dump(r.Instance.Name, m.Name)
		out = append(out, text)
	}
	return strings.Join(out, "\n"), nil
}

// TestBTFOfTheImage: programs loaded by the few hundred bytes the image brings
// find out what they find out by all the kernel's types.
func TestBTFOfTheImage(t *testing.T) {
	own := ownBTF(t)
	b := newBench(t)
	v := builtWith(t, map[string][]byte{kernelRelease(): own, "5.4.0-1-other": own}, objCore, objExec)
	if data, kernels := v.BTF(kernelRelease(), runtime.GOARCH); kernels != 2 || data == nil || len(data) > 4096 {
		t.Fatalf("types of %d kernels, %d bytes", kernels, len(data))
	}
	want, err := b.answers(v, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if tgid := fmt.Sprintf(`"tgid":%d`, os.Getpid()); !strings.Contains(want, tgid) {
		t.Errorf("the program reads another process number than %d:\n%s", os.Getpid(), want)
	}
	b.opts.withoutKernelBTF = true
	b.reopen()
	got, err := b.answers(v, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with the image's types (-kernel's +image's):\n%s", diff)
	}
	if !strings.Contains(b.log.String(), "what the image brings for it is used") {
		t.Error("nothing is logged")
	}
}

// moved is the kernel's BTF cut down, with a task's number somewhere else.
func moved(t *testing.T, own []byte) []byte {
	t.Helper()
	spec := must[*btf.Spec](t)(btf.LoadSpecFromReader(bytes.NewReader(own)))
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		t.Fatal(err)
	}
	for i := range task.Members {
		if task.Members[i].Name == "tgid" {
			task.Members[i].Offset += 32
		}
	}
	builder := must[*btf.Builder](t)(btf.NewBuilder([]btf.Type{task}, nil))
	return must[[]byte](t)(builder.Marshal(nil, btf.KernelMarshalOptions()))
}

// TestGivenBTF: what a person gives counts, although the kernel has its own.
func TestGivenBTF(t *testing.T) {
	own := ownBTF(t)
	b := newBench(t)
	v := verified(t, "core", objCore)
	want, err := b.answers(v, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.answers(v, RunOptions{KernelBTF: own}); err != nil || got != want {
		t.Errorf("with the same types: %v\n%s\ninstead of\n%s", err, got, want)
	}
	if got, err := b.answers(v, RunOptions{KernelBTF: moved(t, own)}); err != nil || got == want {
		t.Errorf("with others: %v\n%s", err, got)
	}
	for name, data := range map[string][]byte{"nothing": {}, "text": []byte("hello"), "half": own[:len(own)/2]} {
		_, err := b.Run(t.Context(), v, RunOptions{KernelBTF: data})
		wantError(t, err, ErrSetting, "the given BTF")
		t.Log(name, err)
	}
	rec := b.start(v, RunOptions{Name: "core"})
	if _, err := b.Update(t.Context(), rec.Name, v, UpdateOptions{KernelBTF: []byte("hello")}); !errors.Is(err, ErrSetting) {
		t.Errorf("updating with a wrong file: got error %v", err)
	}
	updated, err := b.Update(t.Context(), rec.Name, v, UpdateOptions{KernelBTF: own})
	if err != nil {
		t.Fatal(err)
	}
	b.stop(updated.Instance)
}

// TestNoBTFForThisKernel: an image that does not bring the right types is refused
// before anything is loaded; one that needs none is not.
func TestNoBTFForThisKernel(t *testing.T) {
	own := ownBTF(t)
	b := newBench(t)
	b.opts.withoutKernelBTF = true
	b.reopen()
	var lacking *UnsupportedError
	_, err := b.Run(t.Context(), verified(t, "core", objCore), RunOptions{})
	wantError(t, err, nil, "the image brings none", "--btf-archive", "--btf FILE", kernelRelease())
	if !errors.As(err, &lacking) {
		t.Errorf("%v is no UnsupportedError", err)
	}
	v := builtWith(t, map[string][]byte{"5.4.0-1-other": own, "5.4.0-2-other": own}, objCore)
	_, err = b.Run(t.Context(), v, RunOptions{})
	wantError(t, err, nil, "brings those of 2 kernels, but not of this one", "--btf-archive")
	rec := b.start(verified(t, "counter", objCounter), RunOptions{Iface: dev})
	b.stop(rec)
	_, err = b.Update(t.Context(), "nobody", v, UpdateOptions{})
	wantError(t, err, ErrNoInstance)
}

// FuzzHostileBTF relocates with types that a stranger made.
func FuzzHostileBTF(f *testing.F) {
	object, err := os.ReadFile(objCore)
	if err != nil {
		f.Fatal(err)
	}
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		f.Fatal(err)
	}
	types, err := file.Section(".BTF").Data()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(types)
	f.Add([]byte("\x9f\xeb\x01\x00\x18\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		types, err := readTypes(data)
		if err == nil {
			err = relocate(object, types)
		}
		_ = err // whatever it is, it must not be a panic
	})
}

// relocate does the part of loading that looks at types.
func relocate(object []byte, types *btf.Spec) (err error) {
	defer recoverTypes(&err)
	_, infos, err := btf.LoadSpecAndExtInfosFromReader(bytes.NewReader(object))
	if err != nil {
		return err
	}
	for _, section := range infos.CORERelos {
		var relos []*btf.CORERelocation
		for _, r := range section {
			relos = append(relos, r.Relo)
		}
		local := func(btf.Type) (btf.TypeID, error) { return 1, nil }
		if _, err := btf.CORERelocate(relos, []*btf.Spec{types}, binary.NativeEndian, local); err != nil {
			return err
		}
	}
	return nil
}
