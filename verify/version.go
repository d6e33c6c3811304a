// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"
	"strings"

	"golang.org/x/mod/semver"
)

// parseVersion reads a semantic version, with or without the v that people write
// before it, in the form that package semver compares.
func parseVersion(text string) (version string, ok bool) {
	version = "v" + strings.TrimPrefix(text, "v")
	return version, semver.IsValid(version)
}

// NoRollback returns an error wrapping [ErrNotTrusted] when an image of version
// next may not follow one of version last: it is older, or says of itself nothing
// that could be compared. Versions are semantic ones; a last that is none, or "",
// is nothing to fall back behind. An old image keeps its good signature for ever,
// so that whoever controls a registry could bring an old hole back.
func NoRollback(last, next string) error {
	was, ok := parseVersion(last)
	if !ok {
		return nil
	}
	now, ok := parseVersion(next)
	switch {
	case next == "":
		return fmt.Errorf("%w: the image has no version and version %q ran before, so that it may be older", ErrNotTrusted, clip(last))
	case !ok:
		return fmt.Errorf("%w: the image's version %q is no semantic version and version %q ran before, so that it may be older", ErrNotTrusted, clip(next), clip(last))
	case semver.Compare(now, was) < 0:
		return fmt.Errorf("%w: the image has version %q, and version %q ran before", ErrNotTrusted, clip(next), clip(last))
	}
	return nil
}

// versionProblem says why a version is below the lowest, "" when it is not.
func (l *limits) versionProblem(version string) string {
	switch now, ok := parseVersion(version); {
	case l.version == "":
		return ""
	case version == "":
		return "the image has no version"
	case !ok:
		return fmt.Sprintf("the image's version %q is no semantic version", clip(version))
	case semver.Compare(now, l.version) < 0:
		return fmt.Sprintf("the image has version %q", clip(version))
	}
	return ""
}
