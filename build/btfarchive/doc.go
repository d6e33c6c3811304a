// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package btfarchive reads folders that hold the BTF of many kernels: raw
// (RELEASE.btf) or packed (RELEASE.btf.tar.xz), at any depth. It knows the layout
// of BTFHub's archive, DISTRIBUTION/VERSION/ARCHITECTURE/RELEASE.btf.tar.xz.
//
// Nothing outside of the folder is read, whatever links it has, and a file is
// never believed about its size.
package btfarchive
