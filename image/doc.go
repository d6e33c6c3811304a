// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package image is where images live: references, the registry transport with
// its credentials, the local store, and copy between any two (a push is a copy
// from the store, a pull into the store the reverse).
//
// Doors: [ParseReference], [NewRegistry], [OpenStore], [Copy]. Both transports
// are a [Source] and a [Sink]; everything else in bpfimg reads and writes
// images through those two interfaces alone.
package image
