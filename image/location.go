// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// The transports of a [Location], spelled as skopeo spells them; "store" is our
// own, for the local store (containers-transports(5)).
const (
	TransportRegistry      = "docker"
	TransportStore         = "store"
	TransportLayout        = "oci"
	TransportLayoutArchive = "oci-archive"
	TransportDockerArchive = "docker-archive"
)

// Location says where one image is: a transport, and the image's name there.
// Make one with [ParseLocation].
type Location struct {
	// Transport is one of the constants above.
	Transport string
	// Path is the folder or file; "" for registries and the store.
	Path string
	// Name is the image's name in the folder or file, as it is written there: a
	// tag or a whole reference. "" means the only one. "@sha256:…" selects one by its
	// digest, "@N" by its place in the list there, from 0.
	Name string
	// Reference is the image's name in a registry or the store; zero otherwise.
	Reference Reference
}

// transportKind is one row of the table of transports.
type transportKind struct {
	name string
	// prefix is what a location begins with.
	prefix string
	// inFile: what follows is a path and, after a colon, a name in it.
	inFile bool
}

// transports in the order in which prefixes are tried: "docker://" is the
// default and last.
var transports = []transportKind{
	{TransportStore, "store:", false},
	{TransportLayout, "oci:", true},
	{TransportLayoutArchive, "oci-archive:", true},
	{TransportDockerArchive, "docker-archive:", true},
	{TransportRegistry, "docker://", false},
}

// foreignTransports are skopeo's, with what to do instead.
var foreignTransports = map[string]string{
	"containers-storage:": "use `podman save --format oci-archive` and oci-archive:FILE",
	"docker-daemon:":      "use `docker save` and docker-archive:FILE",
	"dir:":                "use oci:DIR",
	"sif:":                "use oci:DIR",
	"ocidir://":           "use oci:DIR",
	"https://":            "give the registry without it: HOST/REPOSITORY[:TAG]",
	"http://":             "give the registry without it: HOST/REPOSITORY[:TAG], and --plain-http if it has no TLS",
}

// helmPrefix is how helm and flux begin a reference; with an absolute path after it,
// it is a layout, as skopeo has it.
const helmPrefix = "oci://"

// ParseLocation parses what people type for an image anywhere:
//
//	REFERENCE                       a registry; docker://REFERENCE and
//	                                oci://REFERENCE are the same
//	store:REFERENCE                 the local store
//	oci:DIR[:NAME]                  an OCI image layout
//	oci-archive:FILE[:NAME]         one in a tar file
//	docker-archive:FILE[:REFERENCE] what docker save and podman save write
//
// DIR and FILE end at the first colon. Instead of a name, @sha256:…, @sha512:… and
// :@N select an image by its digest or its place. The error wraps [ErrReference].
func ParseLocation(s string) (Location, error) {
	for prefix, instead := range foreignTransports {
		if strings.HasPrefix(s, prefix) {
			return Location{}, fmt.Errorf("%w %q: the transport %q is not supported; %s", ErrReference, s, prefix, instead)
		}
	}
	if rest, ok := strings.CutPrefix(s, helmPrefix); ok && !strings.HasPrefix(rest, "/") {
		ref, err := ParseReference(rest)
		return Location{Transport: TransportRegistry, Reference: ref}, err
	}
	for _, t := range transports {
		if rest, ok := strings.CutPrefix(s, t.prefix); ok {
			return t.parse(s, rest)
		}
	}
	ref, err := ParseReference(s)
	return Location{Transport: TransportRegistry, Reference: ref}, err
}

func (t transportKind) parse(s, rest string) (Location, error) {
	l := Location{Transport: t.name}
	if !t.inFile {
		var err error
		l.Reference, err = ParseReference(rest)
		return l, err
	}
	l.Path, l.Name = cutPath(rest, runtime.GOOS == "windows")
	for _, a := range algorithms {
		if path, ok := strings.CutSuffix(l.Path, selector+a.String()); ok { // what follows the colon is a digest
			l.Path, l.Name = path, selector+a.String()+":"+l.Name
		}
	}
	switch {
	case l.Path == "":
		return l, fmt.Errorf("%w %q: a path must follow %q", ErrReference, s, t.prefix)
	case strings.HasSuffix(rest, ":") && l.Name == "":
		return l, fmt.Errorf("%w %q: the name after the colon is empty", ErrReference, s)
	case len(l.Name) > maxReferenceLength:
		return l, fmt.Errorf("%w: the name in %s is longer than %d characters", ErrReference, l.Path, maxReferenceLength)
	}
	l.Path = filepath.Clean(l.Path)
	return l, nil
}

// cutPath splits at the first colon that does not follow a drive's letter.
func cutPath(s string, drives bool) (path, name string) {
	start := 0
	if drives && len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/') {
		start = 2
	}
	path, name, _ = strings.Cut(s[start:], ":")
	return s[:start] + path, name
}

// String is the location as it can be typed.
func (l Location) String() string {
	switch {
	case l.Transport == TransportRegistry:
		return l.Reference.String()
	case l.Transport == TransportStore:
		return "store:" + l.Reference.String()
	case l.Name == "":
		return l.Transport + ":" + l.Path
	case strings.HasPrefix(l.Name, selector) && strings.Contains(l.Name, ":"): // a digest
		return l.Transport + ":" + l.Path + l.Name
	}
	return l.Transport + ":" + l.Path + ":" + l.Name
}

// MarshalText is [Location.String].
func (l Location) MarshalText() ([]byte, error) { return []byte(l.String()), nil }
