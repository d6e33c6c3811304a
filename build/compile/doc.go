// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package compile turns BPF C sources into objects with the clang of the
// machine, one set for each platform, and keeps record of how.
//
// It starts programs itself, without a shell: names, paths and flags are
// arguments and nothing else, and of the flags a build file can give only a few
// forms are let through. The source, though, is as trusted as in any build: a
// compiler runs on it, and it can include any file the user may read.
//
// Doors: [Compile], [Sources].
package compile
