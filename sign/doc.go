// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package sign makes signatures and attaches them to images: a Sigstore bundle
// v0.3 as a referrer, as cosign 3 writes, or on request what cosign 2 wrote. It
// runs where images are made, never on a node.
//
// Doors: [GenerateKeyPair], [LoadKey], [Sign].
package sign
