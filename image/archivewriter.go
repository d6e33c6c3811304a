// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
	"github.com/bpfimg/bpfimg/internal/joined"
)

// archiveWriter collects a layout in a folder, beside the archive if that is a file,
// and writes it in one go when all is there.
type archiveWriter struct {
	store *Store
	dir   string
	file  string
	out   io.Writer // nil for a file
}

// newArchiveWriter makes the folder. Its store takes names as dir's own does.
func newArchiveWriter(file string) (*archiveWriter, error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("writing the archive %s: it is there and no regular file", file)
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), ".bpfimg-*")
	if err != nil {
		return nil, fmt.Errorf("writing the archive %s: %w", file, err)
	}
	return &archiveWriter{dir: dir, file: file}, nil
}

// commit writes the archive, which then replaces what was there.
func (a *archiveWriter) commit(ctx context.Context) error {
	index, err := a.store.loadIndex()
	if err != nil {
		return err
	}
	below, err := a.store.allBelow(index.Manifests)
	if err != nil {
		return err
	}
	if a.out != nil {
		if err := writeLayout(ctx, a.out, a.store, below); err != nil {
			return fmt.Errorf("writing the archive: %w", err)
		}
		return nil
	}
	temp := filepath.Join(a.dir, "archive")
	if err := writeLayoutTar(ctx, temp, a.store, below); err != nil {
		return fmt.Errorf("writing the archive %s: %w", a.file, err)
	}
	if err := os.Rename(temp, a.file); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	return atomicfile.SyncFolder(filepath.Dir(a.file))
}

// close removes the folder.
func (a *archiveWriter) close() error { return os.RemoveAll(a.dir) }

// ArchiveWriter writes several images, each under its whole name and with all
// that is attached to it, into one file: an OCI image layout in a tar archive.
// The same content gives the same bytes. It is a [Sink]; nothing is at the
// file's place before [ArchiveWriter.Commit].
type ArchiveWriter struct {
	*Store
	archive *archiveWriter
}

// NewArchiveWriter prepares to write file. The caller closes the writer.
func NewArchiveWriter(file string) (*ArchiveWriter, error) {
	archive, err := newArchiveWriter(file)
	if err != nil {
		return nil, err
	}
	return archive.open()
}

// NewArchiveStream prepares to write an archive to out, such as a pipe. What is to be
// written is collected in a folder below dir first: nothing comes before
// [ArchiveWriter.Commit]. The caller closes the writer.
func NewArchiveStream(out io.Writer, dir string) (*ArchiveWriter, error) {
	temp, err := os.MkdirTemp(dir, ".bpfimg-*")
	if err != nil {
		return nil, fmt.Errorf("collecting an archive: %w", err)
	}
	return (&archiveWriter{dir: temp, out: out}).open()
}

func (archive *archiveWriter) open() (*ArchiveWriter, error) {
	store, err := OpenStore(filepath.Join(archive.dir, "layout"))
	if err != nil {
		return nil, joined.Errors(err, archive.close())
	}
	store.records = false
	archive.store = store
	return &ArchiveWriter{Store: store, archive: archive}, nil
}

// Commit writes the archive; a file replaces one of that name.
func (w *ArchiveWriter) Commit(ctx context.Context) error { return w.archive.commit(ctx) }

// Close removes what was collected; the file stays.
func (w *ArchiveWriter) Close() error { return w.archive.close() }
