// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Why a registry did not take what was written to it, where its answer tells. They
// are wrapped by a [*RegistryError]; test with [errors.Is].
var (
	// ErrImmutable: there is something at this tag already, and this registry does
	// not let it be moved.
	ErrImmutable = errors.New("the tag cannot be moved")
	// ErrQuota: the registry takes no more of this account or project.
	ErrQuota = errors.New("the quota is used up")
	// ErrNoRepository: the registry wants the repository created before anything
	// is written to it. It is an [ErrNotFound], too.
	ErrNoRepository = fmt.Errorf("the repository is %w", ErrNotFound)
	// ErrBodyTooLarge: a request was larger than the registry, or a proxy before
	// it, takes.
	ErrBodyTooLarge = errors.New("the request is larger than is taken there")
	// ErrBlobsMissing: a manifest was refused for want of what it names, which the
	// registry may have said it has. Its word on that is not taken again: put the blobs
	// once more, and then the manifest.
	ErrBlobsMissing = errors.New("the registry lacks something that the manifest names")
)

// complaint is what is looked at of an answer that is an error.
type complaint struct {
	status int
	// wrote: the request was one that writes.
	wrote bool
	codes []string
	// words are all messages and details, in lower case.
	words string
}

// maxDiagnostics is how many errors of one answer are looked at.
const maxDiagnostics = 16

func newComplaint(e *transport.Error) complaint {
	c := complaint{status: e.StatusCode}
	if e.Request != nil {
		c.wrote = slices.Contains([]string{http.MethodPut, http.MethodPost, http.MethodPatch}, e.Request.Method)
	}
	var words []string
	for _, d := range e.Errors[:min(len(e.Errors), maxDiagnostics)] {
		c.codes = append(c.codes, string(d.Code))
		words = append(words, d.Message, detailText(d.Detail))
	}
	c.words = strings.ToLower(strings.Join(words, "\n"))
	return c
}

// code says whether one of the codes is among the answer's.
func (c complaint) code(codes ...string) bool {
	return slices.ContainsFunc(codes, func(code string) bool { return slices.Contains(c.codes, code) })
}

// says tells whether one of the phrases, which are lower case, is in the answer.
func (c complaint) says(phrases ...string) bool {
	return slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(c.words, p) })
}

// refusals are the causes an answer can tell, the first that fits first. There is no
// standard for these answers: each phrase is what a registry is known to send
// (docs/registries.md).
var refusals = []struct {
	cause error
	is    func(complaint) bool
}{
	{ErrImmutable, complaint.isImmutable},
	{ErrQuota, complaint.isQuota},
	{ErrNoRepository, func(c complaint) bool { return c.status == http.StatusNotFound && c.code("NAME_UNKNOWN") }},
	{ErrBodyTooLarge, func(c complaint) bool { return c.status == http.StatusRequestEntityTooLarge }},
	{ErrBlobsMissing, complaint.lacksBlobs},
}

// isImmutable: 400 of ECR ("… cannot be overwritten because the repository is
// immutable"), of Nexus and of Artifactory, which passes on that the right to
// overwrite is missing; 403 of Docker Hub; 409 with the code that Quay has for it; 412
// of Harbor ("configured as immutable").
func (c complaint) isImmutable() bool {
	switch c.status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusConflict, http.StatusPreconditionFailed:
	default:
		return false
	}
	return c.code("TAG_ALREADY_EXISTS") ||
		c.code("MANIFEST_INVALID") && c.says("http 403 forbidden") ||
		c.says("immutab", "cannot be overwritten", "does not allow updating assets")
}

// lacksBlobs: 400 or 404 with the code for it, and what Artifactory says of a blob that
// it found in another of its repositories (gardener/cc-utils#1752).
func (c complaint) lacksBlobs() bool {
	return c.code("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN") || c.code("MANIFEST_INVALID") && c.says("failed to copy blob")
}

// isQuota: 403 of Quay and Harbor, and of DigitalOcean, whose token server says it.
// Limits on how often one may ask are something else.
func (c complaint) isQuota() bool {
	switch c.status {
	case http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusInsufficientStorage:
		return c.says("quota", "exceed the configured upper limit", "repositories, limit is") && !c.says("rate limit")
	}
	return false
}

// refusedWrite is the cause of err if that is a registry's answer to a write which
// tells one of [refusals]; nil otherwise. It reads the answer itself, before it has
// become a [*RegistryError], and that error alike.
func refusedWrite(err error) error {
	var tag *immutableTagError // what a tag is for is known where it was written, not by the answer
	if errors.As(err, &tag) {
		return tag
	}
	for _, r := range refusals {
		if errors.Is(err, r.cause) {
			return r.cause
		}
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return nil
	}
	// Who may not write for want of space may hear so from the token server.
	var handshake *handshakeError
	early := errors.As(err, &handshake)
	c := newComplaint(answer)
	for _, r := range refusals {
		if r.is(c) && (c.wrote || early && errors.Is(r.cause, ErrQuota)) {
			return r.cause
		}
	}
	return nil
}

// isImmutable says whether a write failed because the tag cannot be moved.
func isImmutable(err error) bool { return errors.Is(refusedWrite(err), ErrImmutable) }
