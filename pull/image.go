// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
)

// Format says which tool's layout an image follows.
type Format string

// The formats the reader knows.
const (
	FormatBpfimg    Format = "bpfimg"
	FormatArtifact  Format = "bpfimg artifact"
	FormatBpfman    Format = "bpfman"
	FormatBpfmanOld Format = "bpfman (old labels)"
	FormatELF       Format = "plain ELF layer"
	// FormatGadget is Inspektor Gadget's, FormatBumblebee that of solo.io's bee.
	FormatGadget    Format = "Inspektor Gadget"
	FormatBumblebee Format = "bumblebee"
	// FormatPlainImage is a container image without labels about its programs.
	FormatPlainImage Format = "plain container image"
)

// Image is one platform's image as it came from a source, whole and in memory.
// Sizes and digests have been checked along the way; nothing else has.
type Image struct {
	// Reference as asked for, with its tag; Root is what it resolved to (an
	// index, or the same as Manifest), resolved once.
	Reference image.Reference
	Root      image.Manifest
	// Manifest is the image manifest of the chosen platform.
	Manifest image.Manifest
	// Config is the raw config blob, Labels its labels, Annotations those of the
	// manifest.
	Config      []byte
	Labels      map[string]string
	Annotations map[string]string
	Format      Format
	// Notes say for people what of the image is not used, such as parts that
	// only the tool that made it can run.
	Notes []string
	// GadgetBTF is the tar of BTF files that Inspektor Gadget's images may have,
	// as it came, packed or not; nil without one.
	GadgetBTF []byte
	// Objects are the ELF files in load order.
	Objects []Object
	// BTF are the types it brings for kernels without.
	BTF []BTF
	// Described is the Description from the labels or, of an artifact, the
	// config: a claim, shown to people and used for attach defaults, never for a
	// decision. Nil when absent.
	Described *schemas.Description
	// Candidates are possible signatures of Root and of Manifest, from
	// referrers, fallback tag and legacy tags; with [Options].OnDemand those that
	// [Image.More] has returned.
	Candidates []Candidate

	// hunt finds more of them, nil when all are here; lookedFor says how these were
	// found.
	hunt      *hunt
	lookedFor []Looked

	// asked is the platform that was asked for.
	asked schemas.Platform
}

// More fetches further candidates, adds them to Candidates and returns them: a
// batch of those that are most likely to be what is wanted, which may turn out to
// hold none. false when there are no more. An image must not be used otherwise
// meanwhile.
func (i *Image) More(ctx context.Context, want Wanted) (found []Candidate, more bool) {
	if i.hunt == nil {
		return nil, false
	}
	found, more = i.hunt.more(ctx, want)
	i.Candidates = append(i.Candidates, found...)
	return found, more
}

// Looked says how far the candidates of Root and of Manifest were looked for.
func (i *Image) Looked(ctx context.Context) []Looked {
	if i.hunt == nil {
		return i.lookedFor
	}
	return i.hunt.looked(ctx)
}

// Enough ends the search for candidates: none that was not returned is fetched from
// now on.
func (i *Image) Enough() {
	if i.hunt != nil {
		i.hunt.stop()
	}
}

// Object is one ELF file of an image.
type Object struct {
	// File is its base name; Bytes its content, Digest "sha256:<hex>" of it.
	File   string
	Digest string
	Bytes  []byte
}

// Candidate is something that may be a signature or an attestation. It is hostile until verified.
type Candidate struct {
	// Kind is the form it was found in.
	Kind CandidateKind
	// Subject is the digest it was attached to, Manifest the digest of the
	// manifest it came in; "" when Err says that there was no finding out.
	Subject, Manifest string
	// Bundle is the raw Sigstore bundle (Kind bundle).
	Bundle []byte
	// Payload is the simple-signing payload (Kind legacy) or the DSSE envelope
	// (Kind legacy attestation), Annotations those of its layer descriptor.
	Payload     []byte
	Annotations map[string]string
	// Err says why it could not be fetched, nil if it could. A bad candidate
	// never hides a good one.
	Err error
}

// CandidateKind is the form of a [Candidate].
type CandidateKind string

// The kinds of candidates.
const (
	KindBundle CandidateKind = "bundle"
	KindLegacy CandidateKind = "legacy"
	// KindLegacyAttestation is never a signature, only a statement.
	KindLegacyAttestation CandidateKind = "legacy attestation"
)
