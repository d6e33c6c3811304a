// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package provenance writes down how an image was built, as a SLSA v1
// provenance predicate (slsa.dev/spec/v1.0/provenance).
//
// Door: [Predicate].
package provenance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/build/compile"
	"github.com/bpfimg/bpfimg/schemas"
)

// BuildType names how the parameters of our provenance are to be read: as the
// section "Provenance" of docs/signing.md says.
const BuildType = "https://github.com/bpfimg/bpfimg/build@v1"

// DefaultBuilder is the id of a builder that has no other name: this program,
// run by whoever signs.
const DefaultBuilder = "https://github.com/bpfimg/bpfimg"

// Input is what is known of a build. The same input gives the same bytes.
type Input struct {
	// Builder is the URI of what ran the build and is to be trusted for what is
	// said here; required.
	Builder string
	// Version of bpfimg.
	Version string
	// Arguments and Flags are those of the command line that decide about the
	// image; File is the build file, if there is one.
	Arguments []string
	Flags     map[string][]string
	File      *schemas.BuildFile
	// Given are the objects that were compiled elsewhere.
	Given []schemas.Object
	// Report says how the others were compiled; nil when all were given. The
	// compiler's scratch folder becomes "SCRATCH", whatever it was.
	Report *compile.Report
	// Invocation names the run in the CI system, and Started is when it began;
	// both may be empty.
	Invocation string
	Started    time.Time
}

// The predicate, as far as it is used (slsa.dev/spec/v1.0/provenance, "Schema").
type predicate struct {
	BuildDefinition definition `json:"buildDefinition"`
	RunDetails      details    `json:"runDetails"`
}

type definition struct {
	BuildType            string     `json:"buildType"`
	ExternalParameters   parameters `json:"externalParameters"`
	InternalParameters   *internal  `json:"internalParameters,omitempty"`
	ResolvedDependencies []resource `json:"resolvedDependencies,omitempty"`
}

type parameters struct {
	Arguments []string            `json:"arguments"`
	Flags     map[string][]string `json:"flags,omitempty"`
	File      *schemas.BuildFile  `json:"buildFile,omitempty"`
}

type internal struct {
	Commands []command `json:"commands"`
}

type command struct {
	Platform string   `json:"platform"`
	Object   string   `json:"object"`
	Compile  []string `json:"compile"`
	Strip    []string `json:"strip,omitempty"`
}

type resource struct {
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	Name        string            `json:"name,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type details struct {
	Builder  builder   `json:"builder"`
	Metadata *metadata `json:"metadata,omitempty"`
}

type builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

type metadata struct {
	InvocationID string `json:"invocationId,omitempty"`
	StartedOn    string `json:"startedOn,omitempty"`
}

// Predicate returns the SLSA v1 provenance of a build as JSON.
func Predicate(in Input) ([]byte, error) {
	if u, err := url.Parse(in.Builder); err != nil || !u.IsAbs() {
		return nil, fmt.Errorf("builder id %q: want a URI, such as %s", in.Builder, DefaultBuilder)
	}
	p := predicate{
		BuildDefinition: definition{
			BuildType:            BuildType,
			ExternalParameters:   parameters{Arguments: in.Arguments, Flags: in.Flags, File: in.File},
			ResolvedDependencies: given(in.Given),
		},
		RunDetails: details{Builder: builder{ID: in.Builder, Version: map[string]string{"bpfimg": in.Version}}},
	}
	if r := in.Report; r != nil {
		p.BuildDefinition.InternalParameters = &internal{Commands: commands(r)}
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies, compiled(r)...)
		p.RunDetails.Builder.Version["clang"] = r.Clang.Version
		if r.Strip.Path != "" {
			p.RunDetails.Builder.Version["llvm-strip"] = r.Strip.Version
		}
	}
	m := metadata{InvocationID: in.Invocation}
	if !in.Started.IsZero() {
		m.StartedOn = in.Started.UTC().Format(time.RFC3339)
	}
	if m != (metadata{}) {
		p.RunDetails.Metadata = &m
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encoding the provenance: %w", err)
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// given are objects as dependencies.
func given(objects []schemas.Object) []resource {
	var list []resource
	for _, o := range objects {
		list = append(list, resource{Name: o.File, Digest: digests(o.Digest)})
	}
	return list
}

func commands(r *compile.Report) []command {
	list := []command{}
	for _, o := range r.Objects {
		list = append(list, command{Platform: o.Platform, Object: o.Name, Compile: settled(o.Command), Strip: settled(o.StripCommand)})
	}
	return list
}

// scratch is the folder of one compilation, at the beginning of a word.
var scratch = regexp.MustCompile(`^/.*/` + regexp.QuoteMeta(compile.ScratchPrefix) + `[^/]+`)

// settled are the words of a command without what differs from run to run.
func settled(words []string) []string {
	var list []string
	for _, word := range words {
		list = append(list, scratch.ReplaceAllLiteralString(word, "SCRATCH"))
	}
	return list
}

// compiled lists the repository, and each file the compiler read once.
func compiled(r *compile.Report) []resource {
	var list []resource
	commit, dirty := strings.CutSuffix(r.Revision, compile.DirtySuffix)
	if commit != "" {
		repo := resource{Name: "source", Digest: map[string]string{"gitCommit": commit}}
		if r.Remote != "" {
			repo.URI = "git+" + r.Remote + "@" + commit
		}
		if dirty {
			repo.Annotations = map[string]string{"dirty": "true"}
		}
		list = append(list, repo)
	}
	var files []compile.File
	for _, o := range r.Objects {
		files = append(files, o.Files...)
	}
	slices.SortFunc(files, func(a, b compile.File) int {
		return strings.Compare(a.Path+"\x00"+a.Digest, b.Path+"\x00"+b.Digest)
	})
	for _, f := range slices.Compact(files) {
		list = append(list, resource{Name: f.Path, Digest: digests(f.Digest)})
	}
	return list
}

// digests splits "sha256:…" as in-toto wants it.
func digests(d string) map[string]string {
	algorithm, value, _ := strings.Cut(d, ":")
	return map[string]string{algorithm: value}
}
