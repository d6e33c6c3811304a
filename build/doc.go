// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package build turns compiled BPF objects into an image: the same inputs give
// the same digest on every machine. It needs no root, no kernel and no Docker.
//
// Doors: [Build], [ReadFile] (bpfimg.yaml).
package build
