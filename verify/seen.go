// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
)

// ErrUndecided is wrapped instead of [ErrNotTrusted] by the refusal of an image of
// which not all could be read that may show it to be trusted: what could not be
// found out is not absent.
var ErrUndecided = errors.New("cannot be verified")

// Seen says what of an image's attachments was looked at, of the image and its index
// together.
type Seen struct {
	// Referrers is how many are listed, Looked how many candidates were looked at:
	// referrers, and what cosign 2 keeps at its tags. Others are the referrers among
	// them that are neither signatures nor attestations.
	Referrers int `json:"referrers"`
	Looked    int `json:"looked"`
	Others    int `json:"others,omitempty"`
	// Cut says that a list was as long as lists are read, so that there may be more.
	Cut bool `json:"cut,omitempty"`
	// NotNeeded were not looked at since the rule was met already, OverLimit since
	// so many others, or such large ones, came before them.
	NotNeeded int `json:"notNeeded,omitempty"`
	OverLimit int `json:"overLimit,omitempty"`
	// Unread is how many could not be read, lists included.
	Unread int `json:"unread,omitempty"`
	// NeverFetched are known to be attached and not in the local store. NeverListed
	// says that the registry was not asked for a list in which an attestation may be
	// that the rule demands, NeverAsked that it was not asked for all that there may
	// be.
	NeverFetched int  `json:"neverFetched,omitempty"`
	NeverListed  bool `json:"neverListed,omitempty"`
	NeverAsked   bool `json:"neverAsked,omitempty"`
	// Notary is how many are signatures of the Notary Project, which are not checked
	// here.
	Notary int `json:"notary,omitempty"`
}

// newSeen sums up what was looked at for each subject, and the attempts. attested
// says whether the rule demands attestations: nothing else is lost with those of
// cosign 2.
func newSeen(looked []pull.Looked, attempts []Attempt, attested bool) Seen {
	var s Seen
	for _, l := range looked {
		s.Referrers += l.Listed
		s.Looked += l.Looked
		s.Others += l.Others
		s.Cut = s.Cut || l.Cut
		s.NotNeeded += l.NotNeeded
		s.OverLimit += l.OverLimit
		s.NeverFetched += l.NeverFetched
		s.NeverListed = s.NeverListed || attested && slices.Contains(l.NeverAsked, pull.KindBundle)
		s.NeverAsked = s.NeverAsked || slices.Contains(l.NeverAsked, pull.KindLegacy) || attested && len(l.NeverAsked) > 0
		s.Notary += l.Notary
	}
	for _, a := range attempts {
		if a.Unread {
			s.Unread++
		}
	}
	return s
}

// orNil is nil when nothing was looked for.
func (s Seen) orNil() *Seen {
	if s == (Seen{}) {
		return nil
	}
	return &s
}

// open says that there is more than was looked at, which another time may show. What
// was left for a limit will be left again, and what cosign 2 may have attached is
// hardly ever there.
func (s Seen) open() bool { return s.Unread > 0 || s.NeverFetched > 0 || s.NeverListed }

// text is what a refusal adds about what was looked at, and what was not; name is
// the image's. "" when there is nothing to add.
func (s Seen) text(name string) string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if s.Others > 0 {
		say("of %d attached to it, %d are neither signatures nor attestations", s.Referrers, s.Others)
	}
	if s.OverLimit > 0 {
		say("%d more were not looked at: at most %d are, and %d MiB", s.OverLimit, pull.MaxCandidates, pull.MaxLooked>>20)
	}
	if s.Cut {
		say("the list of what is attached to it was cut at %d", image.MaxReferrers)
	}
	if s.Notary > 0 {
		say("%s of the Notary Project, which bpfimg does not check", count(s.Notary, "it has a signature", "it has %d signatures"))
	}
	switch {
	case s.NeverFetched > 0:
		say("%s never fetched into the local store: `bpfimg pull %s` does", count(s.NeverFetched, "1 more that is attached to it was", "%d more that are attached to it were"), name)
	case s.NeverAsked:
		say("the registry was never asked for all that may be attached to it: `bpfimg pull %s` does", name)
	}
	return strings.Join(said, "; ")
}

// count words a number that is not zero.
func count(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return fmt.Sprintf(many, n)
}
