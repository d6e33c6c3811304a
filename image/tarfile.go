// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/excerpt"
)

// Limits on an archive, which comes from a stranger.
const (
	// maxArchive bounds the file, in bytes.
	maxArchive = 4 << 30
	// maxArchiveEntries bounds the entries: an image has about five.
	maxArchiveEntries = 1 << 16
	// maxEntryName bounds the name of an entry, in bytes.
	maxEntryName = 1024
)

// section is where the content of one entry is.
type section struct {
	offset, size int64
	// link: the entry is a link, which leads nowhere outside the archive; target is
	// what a symbolic one says. A hard link to a file that came before it is no
	// link here, but that file.
	link   bool
	target string
}

// tarFiles reads the files of a tar archive where they are. Nothing is unpacked:
// an entry's name is only ever compared.
type tarFiles struct {
	r     io.ReaderAt
	files map[string]section
}

// newTarFiles finds the entries of the archive in the first size bytes of r.
func newTarFiles(ctx context.Context, r io.ReaderAt, size int64) (*tarFiles, error) {
	if size > maxArchive {
		return nil, fmt.Errorf("it is %d bytes, at most %d are allowed: %w", size, int64(maxArchive), ErrTooLarge)
	}
	t := &tarFiles{r: r, files: map[string]section{}}
	window := io.NewSectionReader(r, 0, size)
	archive := tar.NewReader(window)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, malformed("it is not a tar archive: %w", err)
		}
		if n > maxArchiveEntries {
			return nil, fmt.Errorf("it has more than %d entries: %w", maxArchiveEntries, ErrTooLarge)
		}
		// The reader takes whole headers and nothing else, so that the content
		// begins where it stands.
		offset, err := window.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := t.add(header, offset, size); err != nil {
			return nil, malformed("entry %q %w", clipText(header.Name), err)
		}
	}
}

// add takes in one entry. Two files of one name are refused: another reader
// might take the other one.
func (t *tarFiles) add(header *tar.Header, offset, size int64) error {
	name := strings.TrimSuffix(strings.TrimPrefix(header.Name, "./"), "/")
	folder := header.Typeflag == tar.TypeDir
	if folder && (name == "" || name == ".") {
		return nil
	}
	if err := checkEntryName(name); err != nil {
		return err
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return errors.New("is a sparse file")
		}
	}
	_, twice := t.files[name]
	switch header.Typeflag {
	case tar.TypeDir:
		return nil
	case tar.TypeLink:
		return t.addHardLink(name, header)
	case tar.TypeSymlink:
		if !twice {
			t.files[name] = linkSection(header)
		}
		return nil
	case tar.TypeReg:
	default:
		return fmt.Errorf("is neither file nor folder nor link (type %q)", header.Typeflag)
	}
	switch {
	case twice:
		return errors.New("is there twice")
	case header.Size < 0 || header.Size > size-offset:
		return errors.New("is cut off")
	}
	t.files[name] = section{offset: offset, size: header.Size}
	return nil
}

// addHardLink takes in another name of a file that stands before it in the archive,
// where tar(5) wants it. The name is only compared, as all names are. One that
// leads to nothing here becomes a link that is not followed.
func (t *tarFiles) addHardLink(name string, header *tar.Header) error {
	s := section{link: true}
	if file, ok := t.files[strings.TrimPrefix(header.Linkname, "./")]; ok && !file.link {
		s = file
	}
	switch old, twice := t.files[name]; {
	case !twice:
		t.files[name] = s
	case !s.link && old != s:
		return errors.New("is there twice")
	}
	return nil
}

// linkSection keeps where a symbolic link leads, if that can be within the archive.
func linkSection(header *tar.Header) section {
	s := section{link: true}
	if !path.IsAbs(header.Linkname) && len(header.Linkname) <= maxEntryName {
		s.target = header.Linkname
	}
	return s
}

// linked is the file in the archive that name is a symbolic link to, and otherwise
// name itself. Only one link is followed, and only by comparing names.
func (t *tarFiles) linked(name string) string {
	if s := t.files[name]; s.target != "" {
		to := path.Join(path.Dir(name), s.target)
		if file, ok := t.files[to]; ok && !file.link {
			return to
		}
	}
	return name
}

// checkEntryName refuses what would be dangerous as a path. It never becomes one
// here, but nobody honest writes such names.
func checkEntryName(name string) error {
	switch {
	case len(name) > maxEntryName:
		return fmt.Errorf("has a name of over %d bytes", maxEntryName)
	case name == "" || strings.HasPrefix(name, "/") || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../"):
		return errors.New("leaves the archive")
	}
	return nil
}

// find returns where a file is that has at most limit bytes.
func (t *tarFiles) find(name string, limit int64) (section, error) {
	s, ok := t.files[name]
	switch {
	case !ok:
		return s, fmt.Errorf("entry %q: %w", clipText(name), ErrNotFound)
	case s.link:
		return s, malformed("entry %q is a link, which is not followed", clipText(name))
	case s.size > limit:
		return s, fmt.Errorf("entry %q is %d bytes, at most %d are allowed: %w", clipText(name), s.size, limit, ErrTooLarge)
	}
	return s, nil
}

// list implements [layoutFiles].
func (t *tarFiles) list(folder string, limit int) ([]string, error) {
	var names []string
	for name := range t.files {
		if base, ok := strings.CutPrefix(name, folder+"/"); ok && !strings.Contains(base, "/") {
			names = append(names, base)
		}
	}
	if len(names) > limit {
		return nil, fmt.Errorf("%s has over %d files: %w", folder, limit, ErrTooLarge)
	}
	slices.Sort(names)
	return names, nil
}

// read implements [layoutFiles].
func (t *tarFiles) read(name string, limit int64) ([]byte, error) {
	s, err := t.find(name, limit)
	if err != nil {
		return nil, err
	}
	return t.readSection(s)
}

// readSection reads what newTarFiles found to be within the file.
func (t *tarFiles) readSection(s section) ([]byte, error) {
	data := make([]byte, s.size)
	if n, err := t.r.ReadAt(data, s.offset); n < len(data) {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	return data, nil
}

// maxQuoted is how much of a foreign name an error quotes, in bytes.
const maxQuoted = 100

// clipText shortens a foreign name for an error.
func clipText(s string) string { return excerpt.Of(s, maxQuoted) }
