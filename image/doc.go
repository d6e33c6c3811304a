// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package image is where images live: references, the registry transport with
// its credentials, the local store, image layouts and archives that other tools
// write, and copy between any two (a push is a copy from the store, a pull into
// the store the reverse).
//
// Doors: [ParseReference], [NewRegistry], [OpenStore], [Copy]; for images
// wherever they are, [ParseLocation], [Places] and [OpenArchive]. Each transport
// is a [Source] and, where it can be written, a [Sink]; everything else in bpfimg
// reads and writes images through those two interfaces alone. [Store.Share] lets
// processes that read into one store share their downloads, and [InMemory] is a
// Source of what is about to be stored. A new Source, here or elsewhere, becomes a
// row in the table of TestSourceContract, which a test insists on.
//
// Nothing that comes in is believed: every manifest and blob is hashed by
// whoever returns it, and sizes, counts, pages, redirects and requests have
// limits. Credentials go to the registry they belong to and to the token server
// it names, never along a redirect and never into an error.
package image
