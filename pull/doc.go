// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package pull turns a reference into the bytes of one image and the candidates
// for its signature: resolve once, choose the platform, fetch everything under
// limits and in as few round trips as can be, and recognise the format.
//
// Nothing here is trusted: a fetched [Image] says what the registry sent, and
// package verify decides. Doors: [Fetch], [Image].
package pull
