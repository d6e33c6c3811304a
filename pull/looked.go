// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"

	"github.com/bpfimg/bpfimg/image"
)

// Looked says how far the candidates of one manifest were looked for.
type Looked struct {
	// Subject is the digest of that manifest.
	Subject string
	// Listed is how many referrers the list has, Cut that these are as many as are
	// ever taken from one, so that there may be more.
	Listed int
	Cut    bool
	// Looked is how many candidates were looked at: referrers, and what cosign 2
	// keeps at its tags. Others are the referrers among them that hold no bundle,
	// such as SBOMs.
	Looked int
	Others int
	// Notary is how many referrers are signatures of the Notary Project, which
	// nothing here reads.
	Notary int
	// OverLimit is how many candidates were left because so many others, or such
	// large ones, were looked at before them.
	OverLimit int
	// NotNeeded is how many referrers, and tags of cosign 2, were left because
	// nobody asked for more.
	NotNeeded int
	// NeverFetched is how many referrers are not in the local store because the run
	// that stored the image did without them, NeverAsked are the kinds of candidates
	// of which nobody asked whether there are any.
	NeverFetched int
	NeverAsked   []CandidateKind
}

// add counts what another search for the same subject found.
func (l *Looked) add(other Looked) {
	l.Listed, l.Notary = max(l.Listed, other.Listed), max(l.Notary, other.Notary)
	l.Cut = l.Cut || other.Cut
	l.Looked += other.Looked
	l.Others += other.Others
	l.OverLimit, l.NotNeeded = other.OverLimit, other.NotNeeded
	l.NeverFetched, l.NeverAsked = other.NeverFetched, other.NeverAsked
}

// Unanswered says of an error whether it leaves open what is there: whoever was
// asked did not answer, or not yet, or not this one. Content that was sent and is
// wrong, or that is said to be absent, leaves nothing open.
func Unanswered(err error) bool {
	for _, answered := range []error{image.ErrNotFound, image.ErrTooLarge, image.ErrDigestMismatch, ErrBadImage} {
		if errors.Is(err, answered) {
			return false
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, image.ErrUnauthorized) {
		return true
	}
	var (
		network net.Error
		answer  *image.RegistryError
		file    *fs.PathError
	)
	switch {
	case errors.As(err, &answer) && answer.Status != 0:
		return answer.Status >= http.StatusInternalServerError || answer.Status == http.StatusTooManyRequests ||
			answer.Status == http.StatusRequestTimeout
	case errors.As(err, &network), errors.As(err, &file):
		return true
	}
	return answer != nil // cut off, or no list at all
}
