// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"fmt"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/schemas"
)

// parseDescription reads the Description label or, of an older image that has lost its
// labels, the annotation of the same name; nil when there is neither. In an image of
// another format it is nobody's promise: a broken one is left out.
func parseDescription(c contents, format Format) (*schemas.Description, error) {
	if format != FormatBpfimg {
		return nil, nil
	}
	for _, place := range []struct {
		name string
		keys map[string]string
	}{
		{"label", c.config.labels},
		{"annotation", c.manifest.Annotations},
	} {
		text, ok := place.keys[schemas.LabelDescription]
		if !ok {
			continue
		}
		desc, err := decodeDescription(text)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", place.name, schemas.LabelDescription, err)
		}
		return desc, nil
	}
	return nil, nil
}

// decodeDescription ignores keys it does not know, so that a later bpfimg can
// add some without a new schema version.
func decodeDescription(text string) (*schemas.Description, error) {
	if len(text) > maxDescription {
		return nil, bad("it is %d bytes, at most %d are read", len(text), maxDescription)
	}
	data := []byte(text)
	if err := checkJSON(data); err != nil {
		return nil, bad("it %w", err)
	}
	// The version first: what follows may have another shape in a newer one.
	var head struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	if err := boundedjson.Unmarshal(data, &head); err != nil {
		return nil, bad("it is not a description: %w", err)
	}
	switch {
	case head.SchemaVersion > schemas.DescriptionVersion:
		return nil, fmt.Errorf("%w: the image has schema version %d, this one reads up to %d",
			ErrNewer, head.SchemaVersion, schemas.DescriptionVersion)
	case head.SchemaVersion < 1:
		return nil, bad("its schema version is %d", head.SchemaVersion)
	}
	var desc schemas.Description
	if err := boundedjson.Unmarshal(data, &desc); err != nil {
		return nil, bad("it is not a description: %w", err)
	}
	if len(desc.Objects) > maxEntries {
		return nil, bad("it describes %d objects, at most %d are read", len(desc.Objects), maxEntries)
	}
	return &desc, nil
}
