// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
)

// Limits on one image, all far above what an honest one needs.
const (
	// maxLayers bounds the layers of an image: bpfimg and bpfman write one.
	maxLayers = 16
	// maxArtifactLayers bounds the layers of an artifact, one an object
	// (build.MaxArtifactObjects), and layers with those of BTF, in either form
	// (build.MaxLayers). It is as many as image.Copy takes.
	maxArtifactLayers = 64
	// maxCompressed bounds all layers together as they are fetched, in bytes.
	maxCompressed = image.MaxLayer
	// maxUnpacked bounds all layers together as they are unpacked, in bytes.
	maxUnpacked = 64 << 20
	// maxEntries bounds the entries of all layers. It is just above what package
	// build writes (build.MaxObjects).
	maxEntries = 1024
	// maxFileName bounds the name of an entry, in bytes (NAME_MAX of Linux).
	maxFileName = 255
	// maxIndexEntries bounds an index. Real ones have one entry a platform and
	// one attestation each.
	maxIndexEntries = 1024
	// maxDescription bounds the Description in bytes.
	maxDescription = schemas.MaxDescription
	// maxWindow bounds the window of a zstd frame in bytes, and so the memory to
	// unpack it: what every decoder should support (RFC 8878, 3.1.1.1.2).
	maxWindow = 8 << 20
	// maxNesting bounds how deep JSON documents nest.
	maxNesting = 64
)

// Limits on what is looked at of one subject's candidates.
const (
	// MaxCandidates bounds how many there are. It counts what is fetched, not what
	// is listed.
	MaxCandidates = 128
	// MaxLooked bounds, in bytes, all that is read of them: manifests, bundles,
	// payloads. The lists that lead to them, of referrers and at the tags of cosign
	// 2, have limits of their own.
	MaxLooked = 8 << 20
)

// Limits on the candidates of one subject.
const (
	// maxReferrerManifest bounds a referrer's manifest in bytes; cosign's are
	// below 1 KiB.
	maxReferrerManifest = 256 << 10
	// smallManifest is what is read of a referrer's manifest although the list says
	// that it is smaller, in bytes.
	smallManifest = 16 << 10
	// maxBundle bounds a bundle in bytes; one by a key is about 1 KiB, with
	// certificates and log entries below 20 KiB, with a large statement more.
	maxBundle = 1 << 20
	// smallBundle is the size, in bytes, up to which a bundle takes only part in
	// MaxLooked; larger ones also share maxLargeBundles, so that they cannot crowd
	// out a signature.
	smallBundle     = 64 << 10
	maxLargeBundles = 4 << 20
	// maxLegacy bounds the legacy signatures, and the legacy attestations,
	// maxPayload the payload of each signature in bytes; one is about 250. An
	// attestation may be as large as a bundle, and shares what bundles share.
	maxLegacy = 64
	// maxLegacyManifest bounds the manifest that has them, in bytes: 64 of them take
	// half a MiB with certificates and log entries.
	maxLegacyManifest = 2 << 20
	maxPayload        = 64 << 10
	// maxAnnotations bounds the annotations of either in bytes:
	// signature, certificate, chain and log entry.
	maxAnnotations = 64 << 10
	// maxParallel bounds the requests for one subject's candidates that are
	// under way together.
	maxParallel = 16
	// reservedForTags is how many of [MaxCandidates] are kept for what cosign 2 has at
	// its tags, so that referrers that say they are wanted cannot hide it.
	reservedForTags = 16
	// firstBatch is how many likely candidates are fetched before anybody has
	// judged one; each further batch is twice as large, up to maxParallel.
	firstBatch = 4
	// patience is how long a batch waits for its last ones: one that never comes
	// must not hold up those that are asked for after it.
	patience = 3 * time.Second
)
