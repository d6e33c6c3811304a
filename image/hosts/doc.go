// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package hosts decides which hosts are asked for an image, and how they are
// talked to: what the settings file (config.yaml) says of mirrors, rewrites,
// blocked registries, certificates and proxies, and the certs.d folders of
// docker and podman.
//
// Doors: [Load] reads a settings file, [Hosts.Route] says for a repository where
// to read and write it, and [Place.Transport] makes the connections. Nothing
// here opens one, or knows about credentials.
package hosts
