// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
)

// errDenied marks a refusal by the deny list.
var errDenied = errors.New("denied by the policy")

// denyList holds digests and key ids, which are of different things and so
// never the same.
type denyList map[string]bool

func newDenyList(spec *schemas.PolicyDeny, from source) (denyList, error) {
	if spec == nil {
		return nil, nil
	}
	if n := len(spec.Digests); n > maxDeniedDigests {
		return nil, fmt.Errorf("%d digests are over the limit of %d", n, maxDeniedDigests)
	}
	if n := len(spec.Keys); n > maxDeniedKeys {
		return nil, fmt.Errorf("%d keys are over the limit of %d", n, maxDeniedKeys)
	}
	list := make(denyList, len(spec.Digests)+len(spec.Keys))
	for _, d := range spec.Digests {
		if image.CheckDigest(digest.Digest(d)) != nil {
			return nil, fmt.Errorf("digest %q: want sha256: and 64, or sha512: and 128, lower-case hex digits", clip(d))
		}
		list[d] = true
	}
	for _, file := range spec.Keys {
		key, err := from.key(file)
		if err != nil {
			return nil, err
		}
		list[key.ID] = true
	}
	return list, nil
}

func (l denyList) has(id string) bool { return l[id] }

// decides says whether the list names things by the same kind of digest as these, of
// which only that is known: the same image has one of each kind.
func (l denyList) decides(digests ...string) bool {
	for _, d := range digests {
		algorithm, _, _ := strings.Cut(d, ":")
		for id := range l {
			if d != "" && !strings.HasPrefix(id, algorithm+":") {
				return false
			}
		}
	}
	return true
}
