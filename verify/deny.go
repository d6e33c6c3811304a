// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"

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
		parsed, err := digest.Parse(d)
		if err != nil || parsed.Algorithm() != digest.SHA256 {
			return nil, fmt.Errorf("digest %q: want sha256: and 64 lower-case hex digits", d)
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
