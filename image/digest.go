// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	_ "crypto/sha512" // package digest leaves it to its users to link an algorithm
	"fmt"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/excerpt"
	"github.com/opencontainers/go-digest"
)

// algorithms are the registered ones of the OCI image specification that every
// reader has (descriptor.md, "Registered Algorithms"). The first names what has no
// digest yet. SHA-384, which package digest also knows, is not registered.
var algorithms = []digest.Algorithm{digest.SHA256, digest.SHA512}

// checkDigest accepts "sha256:" with 64 and "sha512:" with 128 lower-case hex digits.
func checkDigest(s string) error {
	algorithm, _, found := strings.Cut(s, ":")
	a := digest.Algorithm(algorithm)
	switch {
	case !found || algorithm == "":
		return fmt.Errorf("the digest %q must be sha256:<64 hex digits>", excerpt.Of(s, maxReferenceLength))
	case !slices.Contains(algorithms, a):
		return fmt.Errorf("the digest algorithm %q is not supported, only sha256 and sha512 are", excerpt.Of(algorithm, maxReferenceLength))
	case digest.Digest(s).Validate() != nil:
		return fmt.Errorf("the digest %q must be %s: and %d lower-case hex digits", excerpt.Of(s, maxReferenceLength), a, 2*a.Size())
	}
	return nil
}

// CheckDigest accepts a digest of the algorithms that every reader of images has,
// SHA-256 and SHA-512.
func CheckDigest(d digest.Digest) error { return checkDigest(d.String()) }

// isBy says whether d is by that algorithm. Of what is no digest, Algorithm would panic.
func isBy(a digest.Algorithm, d digest.Digest) bool {
	return strings.HasPrefix(d.String(), a.String()+":")
}

// digestLike hashes data as d is hashed, or with the first of the algorithms if d is
// no digest.
func digestLike(d digest.Digest, data []byte) digest.Digest {
	if checkDigest(d.String()) != nil {
		return algorithms[0].FromBytes(data)
	}
	return d.Algorithm().FromBytes(data)
}

// isNamed says whether d is a digest of data.
func isNamed(data []byte, d digest.Digest) bool { return digestLike(d, data) == d }

// The lengths to which the parts of a digest are cut in a tag (OCI distribution
// spec, "Referrers Tag Schema").
const (
	maxTagAlgorithm = 32
	maxTagEncoded   = 64
)

// fallbackTag is where a registry without the API keeps the referrers of a digest.
func fallbackTag(subject Reference) Reference {
	algorithm, encoded, _ := strings.Cut(subject.digest, ":")
	return subject.WithTag(algorithm[:min(len(algorithm), maxTagAlgorithm)] + "-" + encoded[:min(len(encoded), maxTagEncoded)])
}

// LegacyTag is the tag by which cosign 2 attaches something to a digest: the whole
// digest and a suffix such as ".sig". It is "" where that is no tag: one of a SHA-512
// is too long, so that nothing can be there.
func LegacyTag(subject digest.Digest, suffix string) string {
	tag := strings.Replace(subject.String(), ":", "-", 1) + suffix
	if checkTag(tag) != nil {
		return ""
	}
	return tag
}
