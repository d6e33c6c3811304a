// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// marshal writes an index with its entries sorted by digest and then by name,
// so that the same content has the same bytes whoever wrote it last.
func marshal(index ocispec.Index) ([]byte, error) {
	slices.SortStableFunc(index.Manifests, func(a, b ocispec.Descriptor) int {
		if c := strings.Compare(a.Digest.String(), b.Digest.String()); c != 0 {
			return c
		}
		return strings.Compare(a.Annotations[ocispec.AnnotationRefName], b.Annotations[ocispec.AnnotationRefName])
	})
	data, err := json.Marshal(index)
	if err != nil {
		return nil, fmt.Errorf("encoding an index: %w", err)
	}
	return data, nil
}
