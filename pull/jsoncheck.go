// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bpfimg/bpfimg/internal/excerpt"
)

// checkJSON refuses what two JSON readers understand differently: a key given
// twice in one object (the first or the last may win), a key that decides
// something in other letter case (encoding/json takes "Layers" for "layers",
// other readers do not), and data after the document. It refuses deep nesting
// too.
func checkJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := checkValue(dec, 0, false); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows the JSON document")
	}
	return nil
}

// decisive are the keys that are read, by their folded form.
var decisive = foldAll(
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations",
	"digest", "size", "platform", "architecture", "os", "variant", "rootfs", "diff_ids", "Labels",
)

func foldAll(keys ...string) map[string]string {
	m := map[string]string{}
	for _, k := range keys {
		m[fold(k)] = k
	}
	return m
}

// fold makes equal what encoding/json takes for equal. Upper case comes first
// for the sake of letters such as the long s, whose upper case is S.
func fold(key string) string { return strings.ToLower(strings.ToUpper(key)) }

// checkValue reads one value. In free objects, such as annotations, the keys are
// the author's own.
func checkValue(dec *json.Decoder, depth int, free bool) error {
	token, err := dec.Token()
	if err != nil {
		return fmt.Errorf("is not JSON: %w", err)
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxNesting {
		return fmt.Errorf("nests deeper than %d", maxNesting)
	}
	seen := map[string]bool{}
	for dec.More() {
		below := free
		if open == '{' {
			key, err := checkKey(dec, seen, free)
			if err != nil {
				return err
			}
			below = free || isFree(key)
		}
		if err := checkValue(dec, depth+1, below); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// isFree: below these, keys are no part of the format.
func isFree(key string) bool { return key == "annotations" || key == "Labels" }

func checkKey(dec *json.Decoder, seen map[string]bool, free bool) (string, error) {
	token, err := dec.Token()
	if err != nil {
		return "", fmt.Errorf("is not JSON: %w", err)
	}
	key, ok := token.(string)
	if !ok {
		return "", errors.New("is not JSON: a key is no string")
	}
	if seen[key] {
		return "", fmt.Errorf("has the key %q twice", clip(key))
	}
	seen[key] = true
	if right, ok := decisive[fold(key)]; ok && !free && key != right {
		return "", fmt.Errorf("has the key %q, which is not quite %q", clip(key), right)
	}
	return key, nil
}

// maxQuoted bounds foreign text in an error, in bytes.
const maxQuoted = 80

// clip shortens foreign text for an error.
func clip(s string) string { return excerpt.Of(s, maxQuoted) }
