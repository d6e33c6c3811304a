// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package schemas holds the words every other room shares: media types, label
// and annotation keys, the bytecode Description, the build file and the
// instance record. It does nothing and imports nothing of ours, so that a
// third-party reader can depend on it alone.
//
// Doors: [Description] (what an image contains), [BuildFile] (bpfimg.yaml),
// [Instance] (what runs on a node and where it came from), [Policy] (whom a
// node trusts), [Settings] (config.yaml), [JSONSchema] (the same, for other languages).
package schemas
