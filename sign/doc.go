// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package sign makes signatures and attestations and attaches them to images: a
// Sigstore bundle v0.3 as a referrer, as cosign 3 writes, or on request what
// cosign 2 wrote. A key signs, a key in a key management service, or an identity
// that a certificate authority vouches for. It runs where images are made, never
// on a node.
//
// Doors: [Sign], [Attest]; [GenerateKeyPair], [LoadKey], [LoadKMS],
// [EphemeralKey] with [IdentityToken]; [ReadSigningConfig]; [NewPredicate].
package sign
