// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package verify decides whether an image may be loaded. It reads what package
// pull fetched, never the network and never the kernel, and returns a
// [Verified], which only it can make: loading unverified bytes does not compile.
//
// Doors: [Check] with [LoadKeys], [NewSigners] or [LoadPolicy], [NewReport] for
// what it found, [Skip] for the one loud way around.
//
// What happens in between: a [Trust] gives the [Rule] of a repository; a checker
// reads each candidate (bundle, legacy signature, attestation), proves who made
// it with the library of Sigstore (prove.go for keys, keyless.go for certificates,
// ways.go for log and time), and says in the end what of the rule is missing.
package verify
