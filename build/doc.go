// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package build turns compiled BPF objects into an image: the same inputs give
// the same digest on every machine. It needs no root, no kernel and no Docker.
//
// The inputs are the objects and their order, the build file, the options, and
// nothing else: not the tag or repository, so that one build under two names is
// one image; not the folder, time zone or clock; and not the Go release, which
// is why the layer is written without a compressor (see layer.go).
//
// Doors: [Build], [Index] (several platforms), [Variants] (which objects are for
// which, by their names), [ReadFile] (bpfimg.yaml).
package build
