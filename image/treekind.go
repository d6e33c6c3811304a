// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// NodeKind says what a [Node] is.
type NodeKind string

// The kinds of nodes.
const (
	KindIndex       NodeKind = "index"
	KindImage       NodeKind = "image"
	KindSignature   NodeKind = "signature"
	KindAttestation NodeKind = "attestation"
	KindSBOM        NodeKind = "sbom"
	// KindReferrer is attached to something, and of no kind known here.
	KindReferrer NodeKind = "referrer"
)

// legacyKinds are what cosign 2's tags hold, by their suffix.
var legacyKinds = map[string]NodeKind{
	".sig":  KindSignature,
	".att":  KindAttestation,
	".sbom": KindSBOM,
}

// What a Sigstore bundle says of itself in the annotations of its manifest
// (sigstore/cosign, specs/BUNDLE_SPEC.md).
const (
	annotationBundleContent   = "dev.sigstore.bundle.content"
	annotationBundlePredicate = "dev.sigstore.bundle.predicateType"
	predicateSignature        = "https://sigstore.dev/cosign/sign/v1"
)

// referrerKinds tell referrers apart by a part of their artifactType or of the
// type of a layer. The first that fits counts.
var referrerKinds = []struct {
	part string
	kind NodeKind
}{
	{"vnd.cncf.notary.signature", KindSignature},
	{"vnd.dev.cosign.simplesigning", KindSignature},
	{"spdx", KindSBOM},
	{"cyclonedx", KindSBOM},
	{"vnd.syft", KindSBOM},
	{"vnd.in-toto", KindAttestation},
	{"vnd.dsse.envelope", KindAttestation},
}

// kindOfNode says what a manifest is by what it says of itself; nothing of that
// is proven.
func kindOfNode(head manifestHead, layers []ocispec.Descriptor) (NodeKind, string) {
	types := []string{head.ArtifactType}
	for _, layer := range layers {
		types = append(types, layer.MediaType)
	}
	shown := head.ArtifactType
	for _, t := range types {
		if strings.HasPrefix(t, "application/vnd.dev.sigstore.bundle") {
			return bundleKind(head.Annotations, t)
		}
		for _, row := range referrerKinds {
			if head.Subject != nil && strings.Contains(t, row.part) {
				return row.kind, t
			}
		}
		if shown == "" {
			shown = head.artifactKind()
		}
	}
	switch {
	case head.Config == nil:
		return KindIndex, head.ArtifactType
	case head.Subject != nil:
		return KindReferrer, shown
	}
	return KindImage, head.ArtifactType
}

// What marks a manifest that holds BPF bytecode: the artifactType of bpfimg's artifacts,
// and the beginnings of annotations, of bpfimg and of the eBPF bytecode image
// specification. bpfman's own images have the latter as labels only.
const (
	artifactBytecode = "application/vnd.bpfimg.bytecode.v1"
	prefixBpfimg     = "dev.bpfimg."
	prefixBytecode   = "io.ebpf."
)

// saysBytecode: the manifest alone says that it holds BPF bytecode. One that does not
// may hold some all the same, if only the labels of its config say so.
func (h manifestHead) saysBytecode() bool {
	if h.Config == nil || h.Subject != nil {
		return false
	}
	if h.ArtifactType == artifactBytecode {
		return true
	}
	for key := range h.Annotations {
		if strings.HasPrefix(key, prefixBpfimg) || strings.HasPrefix(key, prefixBytecode) {
			return true
		}
	}
	return false
}

// bundleKind tells the two things a bundle can be apart.
func bundleKind(annotations map[string]string, mediaType string) (NodeKind, string) {
	predicate := annotations[annotationBundlePredicate]
	switch {
	case predicate == predicateSignature, annotations[annotationBundleContent] == "message-signature":
		return KindSignature, mediaType
	case predicate != "":
		return KindAttestation, predicate
	}
	return KindReferrer, mediaType
}
