// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/excerpt"
)

// checkJSON refuses what two JSON readers understand differently, by the rules
// of [boundedjson.Rules], data after the document, and documents that would take
// much memory once decoded.
func checkJSON(data []byte) error {
	err := boundedjson.CheckKeys(data, boundedjson.Limits{Depth: maxNesting}, keyRules)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("is not JSON: %w", err)
	}
	return err
}

// keyRules name the keys that are read. Below annotations and Labels, keys are no
// part of the format.
var keyRules = boundedjson.NewRules([]string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations",
	"digest", "size", "platform", "architecture", "os", "variant", "rootfs", "diff_ids", "Labels",
}, []string{"annotations", "Labels"})

// maxQuoted bounds foreign text in an error, in bytes.
const maxQuoted = 80

// clip shortens foreign text for an error.
func clip(s string) string { return excerpt.Of(s, maxQuoted) }
