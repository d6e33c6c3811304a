// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// layoutWriter writes an OCI image layout as the local store does, with names as
// other tools write them: what follows the path, as it is.
type layoutWriter struct {
	*Store
	// root is the image's reference while it is copied, name what it is called.
	root Reference
	name string
}

var (
	_ Source    = (*layoutWriter)(nil)
	_ Sink      = (*layoutWriter)(nil)
	_ lazySink  = (*layoutWriter)(nil)
	_ batchSink = (*layoutWriter)(nil)
)

// exportMode is the mode of folders that are written for others to read.
const exportMode = 0o755

// newLayoutWriter prepares to write an image called name ("" for none) in dir.
func newLayoutWriter(dir, name string) (*layoutWriter, error) {
	if strings.HasPrefix(name, selector) {
		return nil, fmt.Errorf("%w: what is written is called by a name, not %q: give a tag, a reference or nothing", ErrReference, name)
	}
	w := &layoutWriter{root: standIn.WithTag(defaultTag), name: name}
	if ref, ok := fullName(name); ok {
		w.root = ref.WithTag(ref.tag)
		if ref.tag == "" {
			return nil, fmt.Errorf("%w %q: a name in a layout is a tag or a reference with one", ErrReference, name)
		}
	} else if name != "" {
		if err := checkTag(name); err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrReference, name, err)
		}
		w.root = standIn.WithTag(name)
	}
	var err error
	w.Store, err = openLayoutStore(dir, layoutKind{
		what:      "the image layout",
		elsewhere: "give another folder",
		space:     "remove something",
		mode:      exportMode,
		entryName: w.entryName,
	})
	return w, err
}

// entryName is the annotation of an entry. Digests need none.
func (w *layoutWriter) entryName(ref Reference) string {
	switch {
	case ref == w.root:
		return w.name
	case ref.tag == "":
		return ""
	case w.root.WithTag("") == standIn:
		return ref.tag
	}
	return ref.String()
}

// Manifest implements [Source]: what is there already, whoever wrote it.
func (w *layoutWriter) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	l, err := openLayoutDir(w.dir)
	if err != nil {
		return Manifest{}, err
	}
	m, err := l.Manifest(ctx, ref)
	return m, joined.Errors(err, l.Close())
}
