// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/image"
)

// rules say what a format allows in its layers.
type rules struct {
	maxLayers int
	// extra allows folders, and files other than objects, which are ignored.
	extra bool
	// pax allows extended headers: times and owners, as container builders
	// write them.
	pax bool
	// suffix ends the names of the files to take; default: that of objects.
	suffix string
	// only is the one file to take, whatever its ending; "" takes all objects.
	only string
}

// strictRules are for our own images, looseRules for those other tools made.
var (
	strictRules = rules{maxLayers: 1}
	looseRules  = rules{maxLayers: maxLayers, extra: true, pax: true}
)

// objectSuffix ends the name of every object.
const objectSuffix = ".o"

// files collects what the layers hold.
type files struct {
	rules rules
	taken []Object
	seen  map[string]bool
}

func newFiles(r rules) *files { return &files{rules: r, seen: map[string]bool{}} }

// readTar takes the files out of one archive.
func (f *files) readTar(in io.Reader, left *budget) error {
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return tarError(err)
		}
		if left.entries--; left.entries < 0 {
			return bad("it has over %d entries", maxEntries)
		}
		take, err := f.check(header)
		if err != nil {
			return bad("entry %q %w", clip(header.Name), err)
		}
		if !take {
			continue // Next skips the content, which counts against the budget
		}
		data, err := readEntry(archive, header, left)
		if err != nil {
			return err
		}
		f.taken = append(f.taken, newObject(entryName(header), data))
	}
}

func tarError(err error) error {
	if errors.Is(err, ErrBadImage) {
		return err // from the layers of readers below
	}
	return bad("it is not a tar archive: %w", err)
}

// readEntry reads one file. Its size is believed only as far as the bytes are
// there.
func readEntry(archive *tar.Reader, header *tar.Header, left *budget) ([]byte, error) {
	if header.Size > left.bytes {
		return nil, bad("entry %q is %d bytes, unpacked at most %d are allowed in all: %w",
			clip(header.Name), header.Size, maxUnpacked, image.ErrTooLarge)
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(archive); err != nil {
		return nil, tarError(err)
	}
	return buf.Bytes(), nil
}

// entryName is the entry's name without the "./" that some tools begin with.
func entryName(header *tar.Header) string { return strings.TrimPrefix(header.Name, "./") }

// check decides about one entry: to take, to ignore, or (with an error, which
// follows the entry's name) to refuse the image for.
func (f *files) check(header *tar.Header) (take bool, err error) {
	if err := f.checkHeader(header); err != nil {
		return false, err
	}
	name := entryName(header)
	folder := header.Typeflag == tar.TypeDir
	if folder {
		name = strings.TrimSuffix(name, "/")
	}
	if name == "" && folder && f.rules.extra {
		return false, nil // the root itself: "./"
	}
	if err := checkPath(name); err != nil {
		return false, err
	}
	if f.seen[name] && !folder {
		return false, errors.New("is there twice")
	}
	f.seen[name] = true
	if !folder && f.wanted(name) {
		return true, checkFileName(name)
	}
	if !f.rules.extra {
		return false, errors.New("is not an object at the root of the layer")
	}
	return false, nil
}

// checkHeader looks at what kind of entry it is.
func (f *files) checkHeader(header *tar.Header) error {
	switch header.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		if !f.rules.extra {
			return errors.New("is a folder")
		}
	case tar.TypeLink, tar.TypeSymlink:
		return errors.New("is a link")
	default:
		return fmt.Errorf("is neither file nor folder (type %q)", header.Typeflag)
	}
	if len(header.PAXRecords) > 0 && !f.rules.pax {
		return errors.New("has an extended header")
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return errors.New("is a sparse file")
		}
	}
	if !f.rules.extra && strings.HasPrefix(header.Name, "./") {
		return errors.New("is not a plain file name")
	}
	return nil
}

// checkPath refuses what would leave the layer if it were a path.
func checkPath(name string) error {
	if strings.HasPrefix(name, "/") || strings.Contains(name, `\`) {
		return errors.New("is an absolute path")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == ".." || part == "." || part == "":
			return errors.New("leaves the layer")
		case strings.HasPrefix(part, ".wh."):
			return errors.New("marks a deleted file of another layer, which is not supported")
		}
	}
	return nil
}

// wanted says whether a regular file is an object.
func (f *files) wanted(name string) bool {
	if f.rules.only != "" {
		return name == f.rules.only
	}
	suffix := f.rules.suffix
	if suffix == "" {
		suffix = objectSuffix
	}
	return !strings.Contains(name, "/") && strings.HasSuffix(name, suffix)
}

// objects returns what was taken, in the archive's order, which is load order.
func (f *files) objects() ([]Object, error) {
	if len(f.taken) > 0 {
		return f.taken, nil
	}
	if f.rules.only != "" {
		return nil, bad("there is no file %q at the root of its layers, which the labels name", f.rules.only)
	}
	return nil, bad("there is no file ending in %q at the root of its layers", objectSuffix)
}

// printable also keeps out the characters that turn the direction of writing.
func printable(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}
