// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	_ "crypto/sha512" // a registered algorithm, which package digest leaves to its users
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/opencontainers/go-digest"
)

// disk is the folder of a registry:
//
//	blobs/sha256/<hex>       written and read by go-containerregistry
//	manifests/sha256/<hex>   the bytes of each manifest; sha512 beside it
//	links/<hex>              what a repository has: one small JSON document each
//
// File names are digests: those of the content, or for a link of what it says.
// Nothing that came over the network is ever part of a path.
type disk struct {
	dir string
}

// linkKind is what a link makes visible in its repository.
type linkKind string

const (
	linkBlob     linkKind = "blob"
	linkManifest linkKind = "manifest"
	linkTag      linkKind = "tag"
)

// link is one document in links/.
type link struct {
	Kind       linkKind      `json:"kind"`
	Repository string        `json:"repository"`
	Tag        string        `json:"tag,omitempty"`
	MediaType  string        `json:"mediaType,omitempty"`
	Digest     digest.Digest `json:"digest"`
	// Content is the SHA-256 of a blob that Digest names by another algorithm.
	Content digest.Digest `json:"content,omitempty"`
}

// maxLink bounds a link on disk, in bytes; the longest is about 900.
const maxLink = 4 << 10

// file is the link's name: it depends on what is linked where, not on what a
// tag points to, so that moving a tag replaces its file.
func (l link) file() string {
	what := l.Tag
	if l.Kind != linkTag {
		what = l.Digest.String()
	}
	return digest.FromString(string(l.Kind) + "\n" + l.Repository + "\n" + what).Encoded()
}

func openDisk(dir string) (*disk, error) {
	d := &disk{dir: dir}
	manifests := func(a digest.Algorithm) string { return filepath.Join("manifests", a.String()) }
	for _, sub := range []string{"links", "manifests", manifests(digest.SHA256), manifests(digest.SHA512)} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *disk) manifestPath(dgst digest.Digest) string {
	return filepath.Join(d.dir, "manifests", dgst.Algorithm().String(), dgst.Encoded())
}

func (d *disk) putManifest(m *storedManifest) error {
	return atomicfile.WriteDurably(d.manifestPath(m.digest), m.data, 0o600)
}

// manifest reads a manifest back and compares it with its name.
func (d *disk) manifest(dgst digest.Digest) ([]byte, error) {
	if !wholeDigest().MatchString(dgst.String()) {
		return nil, fmt.Errorf("%q is not a digest", dgst)
	}
	data, err := readFile(d.manifestPath(dgst), maxStoredManifest)
	if err != nil {
		return nil, err
	}
	if got := dgst.Algorithm().FromBytes(data); got != dgst {
		return nil, fmt.Errorf("the file holds %s", got)
	}
	return data, nil
}

// maxStoredManifest bounds a manifest on disk, whatever Options.MaxManifest was
// when it was accepted.
const maxStoredManifest = 64 << 20

func (d *disk) putLink(l link) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return atomicfile.WriteDurably(filepath.Join(d.dir, "links", l.file()), data, 0o600)
}

func (d *disk) deleteLink(l link) error {
	err := os.Remove(filepath.Join(d.dir, "links", l.file()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// links reads all links; damaged ones are logged and left out.
func (d *disk) links(log *slog.Logger) ([]link, error) {
	entries, err := os.ReadDir(filepath.Join(d.dir, "links"))
	if err != nil {
		return nil, err
	}
	var all []link
	for _, e := range entries {
		var l link
		data, err := readFile(filepath.Join(d.dir, "links", e.Name()), maxLink)
		if err == nil {
			err = boundedjson.Unmarshal(data, &l)
		}
		if err == nil && l.file() != e.Name() {
			err = errors.New("its content does not fit its name")
		}
		if err != nil {
			log.Warn("a link is damaged and left out", "file", e.Name(), "error", err)
			continue
		}
		all = append(all, l)
	}
	return all, nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := limited.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it is over %d bytes", limit)
	}
	return data, err
}
