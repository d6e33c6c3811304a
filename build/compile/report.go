// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

// Report says how objects came about: what provenance states of a build.
type Report struct {
	// Clang and Strip are the tools; Strip.Path is "" when there was none and the
	// objects keep their debug information.
	Clang, Strip Tool
	// Revision is the commit of the git repository the sources are in, with
	// "-dirty" behind it when a file that was compiled differs from it; "" when
	// they are in none.
	Revision string
	// Remote is the URL of that repository's "origin" without credentials, or "".
	Remote string
	// Objects in the order they were compiled in: platform by platform.
	Objects []Object
}

// Tool is a program that was run.
type Tool struct {
	// Path it was run by.
	Path string
	// Version is the first line it prints about itself: "Debian clang version
	// 19.1.7 (3~deb12u1)".
	Version string
}

// Object is one that was compiled.
type Object struct {
	// Platform, such as "linux/arm64", and the file name in the image.
	Platform, Name string
	// Source is the C file, relative to the folder.
	Source string
	// Command and StripCommand are the programs and arguments, run in the
	// folder; StripCommand is nil when nothing was stripped.
	Command, StripCommand []string
	// Files is everything the compiler read: the source and its headers, the
	// system's too.
	Files []File
}

// File is one the compiler read.
type File struct {
	// Path as the compiler says it: relative to the folder, or absolute for the
	// system's headers.
	Path string
	// Digest is "sha256:…" of its content, SHA1 the SHA-1 in hex, which SPDX wants
	// beside it; nothing trusts it.
	Digest string
	SHA1   string
	// Size in bytes.
	Size int64
}
