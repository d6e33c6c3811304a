// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package boundedjson decodes JSON that others wrote. A document of few bytes can
// decode to very much memory: each "{}," of three bytes in a list of descriptors is
// a structure of more than a hundred. So what a document holds is counted before
// anything is decoded, and a document over the [Limits] is refused.
//
// Doors: [Unmarshal], [UnmarshalWithin], [NewDecoder]; [Check] and [CheckKeys] count
// without decoding.
package boundedjson
