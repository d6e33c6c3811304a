// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package testregistry is a small OCI registry: an [http.Handler] for tests, and
// what `bpfimg registry serve` runs for people who have no registry.
//
// Blobs are kept and served by go-containerregistry's registry. That one holds
// manifests in memory only, so manifests, tags and referrers are kept here, on
// disk too. Everyone who reaches it may read and write: it has no accounts.
//
// A [Profile] makes it a vendor's registry, in what that one does differently:
// GitLab's list of media types, Amazon's immutable tags (profile.go has the table).
// Tests make it misbehave with [Fault], slow it down with Options.Latency and
// count round trips with a [Recorder]. [InProcess] connects a client without a
// network, which also works in a testing/synctest bubble.
//
// Doors: [New], [Registry.Serve], [Profiles], [Fault], [Recorder].
package testregistry
