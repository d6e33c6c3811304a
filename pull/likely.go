// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationPredicate is the predicate type of the statement in a bundle, as cosign
// 3 annotates its manifest with and many registries list it (sigstore/cosign,
// specs/BUNDLE_SPEC.md).
const annotationPredicate = "dev.sigstore.bundle.predicateType"

// Wanted is what is still missing, and so looked for first.
type Wanted struct {
	// Signature says that a signature is.
	Signature bool
	// Predicates are the predicate types of attestations that are.
	Predicates []string
}

// job is one thing to look at: a referrer, or what cosign 2 keeps at a tag.
type job struct {
	desc ocispec.Descriptor
	form *legacyForm // of a tag; nil for a referrer
	// due: a tag whose turn has come, whatever else there is.
	due bool
	// failed: there is no list, and this says why.
	failed bool
	// fetch returns the candidates in it, up to n of those at a tag.
	fetch func(ctx context.Context, n int) []Candidate
}

// claim takes what the job may look at out of what s may. Of a tag, it must be
// known what is there.
func (j job) claim(s *search, tags [2]*legacy) int {
	switch {
	case j.failed:
		return 0
	case j.form == nil:
		return s.claim(1)
	}
	for _, t := range tags {
		if t.form == j.form {
			s.release(t)
			return t.claim(min(len(t.found), maxLegacy))
		}
	}
	return 0
}

// How likely a job is to bring what is wanted. Nothing is left out for what a list
// says, or does not say: registries give other types, and leave out annotations.
const (
	due      = iota // it must be looked at before the limit is reached
	says            // it says that it is that
	may             // nothing speaks against it
	unclear         // it may be anything
	unlikely        // it says that it is something else
)

// likely says how likely the job is to bring what is wanted.
func (j job) likely(want Wanted) int {
	predicate := j.desc.Annotations[annotationPredicate]
	bundle := strings.HasPrefix(j.desc.ArtifactType, bundleTypes)
	switch {
	case j.due:
		return due
	case j.failed:
		return says
	case j.form != nil && (j.form.kind == KindLegacy && want.Signature || j.form.kind == KindLegacyAttestation && len(want.Predicates) > 0):
		return may
	case j.form != nil:
		return unlikely
	case predicate == schemas.PredicateCosignSign && want.Signature, slices.Contains(want.Predicates, predicate):
		return says
	case predicate != "":
		return unlikely
	case bundle:
		return may
	case j.desc.ArtifactType == "" || strings.HasPrefix(j.desc.ArtifactType, "application/vnd.oci."):
		return unclear // the type of the config, which some registries take for it
	}
	return unlikely
}

// likelyFirst sorts the jobs by how likely they are to bring what is wanted; of two
// that are alike, a tag with all it holds comes first, then what the list has first.
func likelyFirst(jobs []job, want Wanted) {
	slices.SortStableFunc(jobs, func(a, b job) int {
		return cmp.Or(cmp.Compare(a.likely(want), b.likely(want)), cmp.Compare(a.order(), b.order()))
	})
}

func (j job) order() int {
	if j.form != nil {
		return 0
	}
	return 1
}
