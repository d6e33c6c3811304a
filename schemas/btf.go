// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

// A layer with the types of kernels that have no BTF of their own, cut down to
// what the objects of the image need. See docs/spec.md, "BTF layers".
const (
	// MediaTypeBTF is such a layer in the artifact form: raw BTF as it is.
	MediaTypeBTF = "application/vnd.bpfimg.btf.v1"
	// AnnotationBTFKernels marks such a layer's descriptor in either form: a JSON
	// array of the releases (`uname -r`) of the kernels it is for, sorted.
	AnnotationBTFKernels = "dev.bpfimg.btf.kernels"
	// AnnotationBTFArch beside it is their architecture, in Go's spelling.
	AnnotationBTFArch = "dev.bpfimg.btf.arch"
)

// Limits on them, for writers and readers.
const (
	// MaxBTF bounds one such layer unpacked, in bytes; they are a few hundred
	// bytes to a few hundred KiB.
	MaxBTF = 4 << 20
	// MaxBTFKernels bounds the kernels of one image.
	MaxBTFKernels = 8192
	// MaxKernelRelease bounds a kernel's release, in bytes (__NEW_UTS_LEN of
	// Linux).
	MaxKernelRelease = 64
)

// ValidKernelRelease says whether s can be what `uname -r` prints: printable
// ASCII without blanks and slashes.
func ValidKernelRelease(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '/' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= MaxKernelRelease
}
