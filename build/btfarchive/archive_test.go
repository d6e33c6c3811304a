// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfarchive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ulikunitz/xz"
)

// tree writes files below a new folder.
func tree(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// entry of a tar.
type entry struct {
	name string
	typ  byte
	data []byte
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.typ, Size: int64(len(e.data)), Mode: 0o644}
		if e.typ == tar.TypeSymlink {
			h.Linkname = "/etc/passwd"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func xzOf(t testing.TB, data []byte, c xz.WriterConfig) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := c.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func packed(t testing.TB, entries ...entry) []byte {
	return xzOf(t, tarOf(t, entries...), xz.WriterConfig{})
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	hub := packed(t, entry{"./5.4.0-26-generic.btf", tar.TypeReg, []byte("hub")})
	dir := tree(t, map[string][]byte{
		"ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz": hub,
		"ubuntu/20.04/arm64/5.4.0-26-generic.btf.tar.xz":  hub,
		"amzn/2/aarch64/4.14.1.btf":                       []byte("arm"),
		"5.10.0-1-amd64.btf":                              []byte("flat"),
		"mine/old/4.19.btf":                               []byte("folders"),
		"mine/amd64/deep/4.20.btf":                        []byte("deep"),
		"README.md":                                       []byte("no BTF"),
		"x86_64/notes.txt":                                []byte("no BTF"),
	})
	a := open(t, dir)
	kernels, err := a.Kernels(t.Context(), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range kernels {
		data, err := a.Read(k)
		if err != nil {
			t.Error(err)
		}
		got = append(got, k.Release+" "+string(data))
	}
	want := []string{"4.19 folders", "4.20 deep", "5.10.0-1-amd64 flat", "5.4.0-26-generic hub"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kernels (-want +got):\n%s", diff)
	}
	kernels, err = a.Kernels(t.Context(), "arm64")
	if err != nil || len(kernels) != 4 { // two of its own, two below no architecture
		t.Errorf("arm64: %v, error %v", kernels, err)
	}
}

func TestRefusedFolders(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, file, text string
	}{
		{"empty", "README", "has no file RELEASE.btf"},
		{"other architecture", "ubuntu/20.04/arm64/5.4.btf", "for amd64; it has 1 for arm64"},
		{"unknown architecture", "ubuntu/20.04/vax/5.4.btf", `folder "vax" should be an architecture`},
		{"no release", ".btf", "1 to 64 printable characters"},
		{"long release", strings.Repeat("5", 65) + ".btf", "1 to 64 printable characters"},
		{"release with a blank", "5 4.btf", `"5 4" is not the release`},
		{"release with an escape", "5\x1b.btf", `"5\x1b" is not the release`},
		{"deep", strings.Repeat("a/", 33) + "5.4.btf", "over 32 deep"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := open(t, tree(t, map[string][]byte{tc.file: nil})).Kernels(t.Context(), "amd64")
			if !errors.Is(err, ErrArchive) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got error %v, want one with %q", err, tc.text)
			}
		})
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: got error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, t.TempDir()).Kernels(ctx, "amd64"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v", err)
	}
}

// TestLinks: neither links to files nor to folders are followed, and a file that
// becomes a link after it was listed does not lead out either.
func TestLinks(t *testing.T) {
	t.Parallel()
	outside := tree(t, map[string][]byte{"9.9.btf": []byte("secret")})
	dir := tree(t, map[string][]byte{"5.4.btf": []byte("in")})
	for link, target := range map[string]string{
		"5.5.btf": filepath.Join(outside, "9.9.btf"), "5.6.btf": "5.4.btf", "more": outside,
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip("SKIP-REASON: runs where links can be made:", err)
		}
	}
	a := open(t, dir)
	kernels, err := a.Kernels(t.Context(), "amd64")
	if err != nil || len(kernels) != 1 || kernels[0].Release != "5.4" {
		t.Fatalf("kernels %v, error %v", kernels, err)
	}
	file := filepath.Join(dir, "5.4.btf")
	if err := errors.Join(os.Remove(file), os.Symlink(filepath.Join(outside, "9.9.btf"), file)); err != nil {
		t.Fatal(err)
	}
	if data, err := a.Read(kernels[0]); err == nil {
		t.Errorf("read %q through a link", data)
	}
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	content := []byte("the types of a kernel")
	one := entry{"5.4.btf", tar.TypeReg, content}
	archive := tarOf(t, one)
	good := xzOf(t, archive, xz.WriterConfig{})
	damaged := slices.Clone(good)
	damaged[len(damaged)-25] ^= 1 // before index and footer, 20 bytes
	greedy := slices.Clone(good)
	greedy[16] = 40 // a dictionary of 4 GiB less one byte
	resum(greedy)
	for _, tc := range []struct {
		name string
		data []byte
		text string // of the error
	}{
		{"crc64", good, ""},
		{"crc32", xzOf(t, archive, xz.WriterConfig{CheckSum: xz.CRC32}), ""},
		{"sha256", xzOf(t, archive, xz.WriterConfig{CheckSum: xz.SHA256}), ""},
		{"no checksum", xzOf(t, archive, xz.WriterConfig{NoCheckSum: true}), ""},
		{"with a folder", packed(t, entry{"./", tar.TypeDir, nil}, one), ""},
		{"64 MiB dictionary", xzOf(t, archive, xz.WriterConfig{DictCap: 64 << 20}), ""},
		{"greedy", greedy, "memory"},
		{"blocks", xzOf(t, archive, xz.WriterConfig{BlockSize: 1000}), "more than one block"},
		{"empty", nil, "not an .xz file"},
		{"text", []byte("hello, this is no xz"), "not an .xz file"},
		{"cut short", good[:len(good)/2], "unpacking"},
		{"cut in the sum", good[:len(good)-25], "cut short"},
		{"damaged", damaged, "checksum"},
		{"no tar", xzOf(t, []byte("hello"), xz.WriterConfig{}), "looking for a .btf file"},
		{"empty tar", packed(t), "looking for a .btf file"},
		{"two files", packed(t, one, entry{"b.btf", tar.TypeReg, nil}), "several files"},
		{"a link", packed(t, entry{"5.4.btf", tar.TypeSymlink, nil}), "no .btf file"},
		{"another file", packed(t, entry{"passwd", tar.TypeReg, nil}), "no .btf file"},
		{"a bomb", xzOf(t, make([]byte, MaxFile+1), xz.WriterConfig{}), "over 67108864 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := unpack(tc.data)
			if tc.text == "" && (err != nil || !bytes.Equal(got, content)) {
				t.Errorf("got %q, error %v", got, err)
			}
			if tc.text != "" && (err == nil || !strings.Contains(err.Error(), tc.text)) {
				t.Errorf("got error %v, want one with %q", err, tc.text)
			}
		})
	}
}

// resum corrects the sum of the block's header.
func resum(data []byte) {
	size := (int(data[xzHeaderSize]) + 1) * 4
	header := data[xzHeaderSize : xzHeaderSize+size]
	sum := crc32.ChecksumIEEE(header[:size-4])
	for i := range 4 {
		header[size-4+i] = byte(sum >> (8 * i))
	}
}

// TestRealXZ unpacks what the xz program writes.
func TestRealXZ(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("SKIP-REASON: runs where xz is installed (apt-get install xz-utils)")
	}
	content := bytes.Repeat([]byte("types of a kernel "), 100000)
	archive := tarOf(t, entry{"5.4.btf", tar.TypeReg, content})
	for _, flags := range [][]string{nil, {"-9"}, {"-0"}, {"--check=crc32"}, {"--check=sha256"}, {"--check=none"}, {"-T2"}} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "xz", append(flags, "-c")...)
			cmd.Stdin = bytes.NewReader(archive)
			data, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := unpack(data); err != nil || !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, want %d; error %v", len(got), len(content), err)
			}
		})
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(packed(f, entry{"5.4.btf", tar.TypeReg, []byte("types")}))
	f.Add(xzOf(f, tarOf(f, entry{"5.4.btf", tar.TypeReg, nil}), xz.WriterConfig{CheckSum: xz.SHA256}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := unpack(data); err == nil && len(got) > MaxFile {
			t.Errorf("unpacked to %d bytes", len(got))
		}
	})
}
