// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/bpfimg/bpfimg/internal/excerpt"
	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

// Docker's defaults for short names, and the limits of the distribution
// project's reference grammar (github.com/distribution/reference, regexp.go):
// a name of 255 bytes in all, a tag of 128.
const (
	dockerRegistry = "docker.io"
	dockerIndex    = "index.docker.io"
	dockerLibrary  = "library"
	maxNameLength  = 255
	maxTagLength   = 128
	// maxReferenceLength is a full name, tag and digest with their separators.
	maxReferenceLength = maxNameLength + maxTagLength + len("sha512:") + 128 + 2
)

var (
	// The OCI distribution spec's grammar of a repository name's component and of
	// a tag (spec.md, "Pulling manifests").
	componentPattern = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagPattern       = lazyregexp.New(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	hostPattern      = lazyregexp.New(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$`)
)

// ParseReference parses [REGISTRY/]REPOSITORY[:TAG][@DIGEST] as docker does:
// docker.io is the default registry, "latest" the tag when there is neither tag
// nor digest. The error wraps [ErrReference] and says what is wrong with s.
func ParseReference(s string) (Reference, error) {
	ref, err := parseReference(s)
	if err != nil {
		return Reference{}, fmt.Errorf("%w %q: %w", ErrReference, excerpt.Of(s, maxReferenceLength), err)
	}
	return ref, nil
}

func parseReference(s string) (Reference, error) {
	if err := checkText(s); err != nil {
		return Reference{}, err
	}
	rest, dgst, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		if err := checkDigest(dgst); err != nil {
			return Reference{}, err
		}
	}
	rest, tag, hasTag := cutTag(rest)
	if hasTag {
		if err := checkTag(tag); err != nil {
			return Reference{}, err
		}
	} else if !hasDigest {
		tag = defaultTag
	}
	registry, repository := splitRegistry(rest)
	if err := checkRegistryHost(registry); err != nil {
		return Reference{}, err
	}
	if err := checkRepository(repository); err != nil {
		return Reference{}, err
	}
	if len(registry)+1+len(repository) > maxNameLength {
		return Reference{}, fmt.Errorf("the name is longer than %d characters", maxNameLength)
	}
	return Reference{registry: registry, repository: repository, tag: tag, digest: dgst}, nil
}

// NamesTag says whether s, a reference, has a tag of its own, rather than the one
// that is meant when there is none.
func NamesTag(s string) bool {
	name, _, _ := strings.Cut(s, "@")
	_, _, tagged := cutTag(name)
	return tagged
}

// checkText refuses what no reference can contain, with the mistake named.
func checkText(s string) error {
	switch scheme, _, found := strings.Cut(s, "://"); {
	case s == "":
		return fmt.Errorf("it is empty")
	case found && !strings.ContainsAny(scheme, "/@"):
		return fmt.Errorf("drop the leading %q: a reference is REGISTRY/REPOSITORY:TAG", scheme+"://")
	case len(s) > maxReferenceLength:
		return fmt.Errorf("it is longer than %d characters", maxReferenceLength)
	case strings.IndexFunc(s, unicode.IsSpace) >= 0:
		return fmt.Errorf("it contains a space")
	}
	for _, c := range s {
		if c > unicode.MaxASCII || !unicode.IsPrint(c) {
			return fmt.Errorf("it contains the character %q; only ASCII is allowed", c)
		}
	}
	return nil
}

// cutTag splits at the last colon, unless a slash follows: then the colon is
// that of the registry's port.
func cutTag(s string) (rest, tag string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.Contains(s[i:], "/") {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// splitRegistry applies docker's rule: what precedes the first slash is a
// registry if it has a dot or a colon, or is "localhost".
func splitRegistry(s string) (registry, repository string) {
	host, rest, found := strings.Cut(s, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		registry, repository = dockerRegistry, s
	} else {
		registry, repository = host, rest
	}
	if registry == dockerIndex {
		registry = dockerRegistry
	}
	if registry == dockerRegistry && repository != "" && !strings.Contains(repository, "/") {
		repository = dockerLibrary + "/" + repository
	}
	return registry, repository
}

func checkRegistryHost(host string) error {
	m := hostPattern().FindStringSubmatch(host)
	if m == nil {
		return fmt.Errorf("%q is not a registry host[:port]", host)
	}
	if port := m[1]; port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("the registry's port %s is not between 1 and 65535", port)
		}
	}
	if u, err := url.Parse("//" + host); err != nil || u.Host != host {
		return fmt.Errorf("%q is not a registry host[:port]", host)
	}
	return nil
}

func checkRepository(repository string) error {
	if repository == "" {
		return fmt.Errorf("it has no repository name")
	}
	if repository != strings.ToLower(repository) {
		return fmt.Errorf("the repository %q must be lower-case", repository)
	}
	for component := range strings.SplitSeq(repository, "/") {
		if component == "" {
			return fmt.Errorf("the repository %q has an empty part between slashes", repository)
		}
		if !componentPattern().MatchString(component) {
			return fmt.Errorf("%q in the repository name must be lower-case letters and digits, separated by '.', '_', '__' or dashes", component)
		}
	}
	return nil
}

func checkTag(tag string) error {
	switch {
	case tag == "":
		return fmt.Errorf("the tag after the colon is empty")
	case len(tag) > maxTagLength:
		return fmt.Errorf("the tag is longer than %d characters", maxTagLength)
	case !tagPattern().MatchString(tag):
		return fmt.Errorf("the tag %q must be letters, digits, '_', '.' and '-', and not start with '.' or '-'", tag)
	}
	return nil
}
