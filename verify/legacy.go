// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/pull"
)

// maxPayload bounds the payload of a legacy signature, in bytes; one is about
// 250 and the annotations of the signer.
const maxPayload = 64 << 10

// legacyType is critical.type of a cosign payload (sigstore/cosign,
// specs/SIGNATURE_SPEC.md).
const legacyType = "cosign container image signature"

// simpleSigning is the payload of a legacy signature, every field spelled out
// so that an unknown one is an error.
type simpleSigning struct {
	Critical struct {
		Identity struct {
			DockerReference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			DockerManifestDigest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional json.RawMessage `json:"optional"`
}

// checkLegacy returns who signed the payload of candidate, a claim about one of
// the targets.
func (c *checker) checkLegacy(candidate pull.Candidate, attempt *Attempt) (proven, error) {
	claim, err := parseSimpleSigning(candidate.Payload)
	if err != nil {
		return proven{}, err
	}
	attempt.Claims = clip(claim.Critical.Identity.DockerReference)
	if _, err := c.target(c.signable(), claim.Critical.Image.DockerManifestDigest); err != nil {
		return proven{}, err
	}
	e, err := legacyEvidence(candidate.Payload, candidate.Annotations)
	if err != nil {
		return proven{}, err
	}
	return c.prove(e, c.party)
}

// parseSimpleSigning reads a payload strictly: known fields only, each once and
// spelled exactly, and the type of a container image signature.
func parseSimpleSigning(payload []byte) (simpleSigning, error) {
	var claim simpleSigning
	if len(payload) > maxPayload {
		return claim, fmt.Errorf("has a payload over the limit of %d bytes", maxPayload)
	}
	dec, err := boundedjson.NewDecoder(payload)
	if err != nil {
		return claim, fmt.Errorf("is not a simple-signing payload: %w", err)
	}
	if err := checkKeys(dec, ""); err != nil {
		return claim, fmt.Errorf("is not a simple-signing payload: %w", err)
	}
	if dec, err = boundedjson.NewDecoder(payload); err != nil {
		return claim, fmt.Errorf("is not a simple-signing payload: %w", err)
	}
	dec.DisallowUnknownFields()
	if err := dec.Decode(&claim); err != nil {
		return claim, fmt.Errorf("is not a simple-signing payload: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return claim, errors.New("is not a simple-signing payload: more follows the JSON object")
	}
	if claim.Critical.Type != legacyType {
		return claim, fmt.Errorf("has the type %q, not %q", clip(claim.Critical.Type), legacyType)
	}
	return claim, nil
}

// claimKeys are the names that decide, by the object they are in. encoding/json
// takes any spelling of letter case, and the last of several; other readers
// choose otherwise.
var claimKeys = map[string]map[string]bool{
	"":                   {"critical": true, "optional": true},
	".critical":          {"identity": true, "image": true, "type": true},
	".critical.identity": {"docker-reference": true},
	".critical.image":    {"docker-manifest-digest": true},
}

// checkKeys reads the object at path, whose members are those [claimKeys] has
// for it: each at most once and in exactly these letters.
func checkKeys(dec *json.Decoder, path string) error {
	if token, err := dec.Token(); err != nil {
		return err
	} else if token != json.Delim('{') {
		return fmt.Errorf("%q is not an object", path)
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		if !claimKeys[path][key] || seen[key] {
			return fmt.Errorf("key %q is not known, or given twice", clip(key))
		}
		seen[key] = true
		if _, deeper := claimKeys[path+"."+key]; deeper {
			err = checkKeys(dec, path+"."+key)
		} else {
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}
