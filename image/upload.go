// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxUpload bounds a blob that is pushed, in bytes. What we read of others ends
// at [MaxLayer]; this only keeps sizes that cannot be meant out of the arithmetic.
const maxUpload = 1 << 40

// headerMinChunk is the least size of all chunks but the last that the registry
// takes (OCI distribution spec, "Pushing a blob in chunks").
const headerMinChunk = "OCI-Chunk-Min-Length"

// errUploadLost: the registry no longer knows the upload, or another state of it
// than we do. It is begun anew.
var errUploadLost = errors.New("the registry has lost the upload")

// upload is one blob on its way to a repository. It outlives the attempts, so
// that each goes on where the one before was cut.
type upload struct {
	desc      ocispec.Descriptor
	mountFrom string
	read      blobReader
	transfers *transfers
	progress  reporter

	// content is read when it is needed; opened says that it was.
	content []byte
	opened  bool

	// at is where the upload under way goes on, nil when there is none; offset is
	// how many bytes the registry has of it, chunk how many it gets at a time.
	at     *url.URL
	offset int64
	chunk  int64
	// refused: it did not take the byte at offset next.
	refused bool
	// whole: this registry does not take chunks.
	whole bool
	// furthest is the most it ever had, in bytes.
	furthest int64
}

// moved is how much has ever been there, in bytes.
func (u *upload) moved() int64 { return u.furthest }

// send makes one attempt.
func (u *upload) send(ctx context.Context, s *session) error {
	if u.at != nil {
		if err := u.askOffset(ctx, s); err != nil {
			return err
		}
	}
	if u.at == nil {
		there, err := u.begin(ctx, s)
		if there || err != nil {
			return err
		}
	}
	// Before the slot is taken: reading may need one.
	if err := u.load(ctx); err != nil {
		return err
	}
	end, err := u.transfers.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if !u.inParts() {
		return u.sendWhole(ctx, s)
	}
	err = u.sendParts(ctx, s)
	if errors.Is(err, errNoChunks) {
		u.whole = true
		if there, err := u.begin(ctx, s); there || err != nil {
			return err
		}
		return u.sendWhole(ctx, s)
	}
	return err
}

// inParts says whether the blob is sent in chunks. Small ones are not: that
// would cost a round trip more.
func (u *upload) inParts() bool { return !u.whole && u.desc.Size > u.chunk }

// begin starts an upload, unless the repository has the blob or gets it from
// another one.
func (u *upload) begin(ctx context.Context, s *session) (there bool, err error) {
	if there, err := s.hasBlob(ctx, u.desc); there || err != nil {
		return there, err
	}
	resp, err := s.startUpload(ctx, u.desc, u.mountFrom)
	if err != nil && u.mountFrom != "" {
		// Mounting only saves work: a registry that refuses it gets the bytes.
		if u.mountFrom = ""; isTransient(err) || ctx.Err() != nil {
			return false, err
		}
		resp, err = s.startUpload(ctx, u.desc, "")
	}
	if err != nil {
		return false, err
	}
	if resp.StatusCode == http.StatusCreated && u.mountFrom != "" {
		return true, nil
	}
	u.offset, u.chunk, u.refused = 0, u.transfers.chunk, false
	if least, err := strconv.ParseInt(resp.Header.Get(headerMinChunk), 10, 64); err == nil && least > u.chunk {
		u.chunk = least
	}
	return false, u.follow(resp)
}

// follow takes the place where the upload goes on from an answer. The same rules
// hold for it as for a redirect.
func (u *upload) follow(resp *http.Response) error {
	from := resp.Request.URL
	u.at = nil
	text := resp.Header.Get("Location")
	if text == "" {
		return errors.New("the registry does not say where to upload to (no Location header)")
	}
	to, err := from.Parse(text)
	if err != nil {
		return errors.New("the registry sends uploads to a malformed address")
	}
	if to.Host == from.Host {
		to.Scheme = from.Scheme // a proxy before the registry may have taken TLS off
	}
	if err := checkRedirect(&http.Request{URL: to}, []*http.Request{{URL: from}}); err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	u.at = to
	return nil
}

// load reads the content, once.
func (u *upload) load(ctx context.Context) error {
	if u.opened {
		return nil
	}
	data, err := u.read(ctx)
	if err == nil {
		err = checkContent(data, u.desc)
	}
	if err != nil {
		return &sourceError{err}
	}
	u.content, u.opened = data, true
	return nil
}

// sendWhole sends the blob in one request. What is cut is begun anew.
func (u *upload) sendWhole(ctx context.Context, s *session) error {
	at := u.at
	u.at = nil
	return u.finish(ctx, s, at, u.content)
}

// finish sends what is left, or nothing, and has the registry check the digest.
func (u *upload) finish(ctx context.Context, s *session, at *url.URL, rest []byte) error {
	last := *at
	query := last.Query()
	query.Set("digest", u.desc.Digest.String())
	last.RawQuery = query.Encode()
	resp, err := u.sendPart(ctx, s, part{method: http.MethodPut, at: &last, data: rest})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if lost(resp.StatusCode) {
		u.at = nil
		return fmt.Errorf("%w: it answered %d", errUploadLost, resp.StatusCode)
	}
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusNoContent); err != nil {
		return err
	}
	u.furthest = u.desc.Size
	return nil
}

// lost are the answers of a registry that has nothing, or something else, at the
// place of an upload.
func lost(status int) bool {
	return status == http.StatusNotFound || status == http.StatusGone || status == http.StatusRequestedRangeNotSatisfiable
}

// noChunks are what registries without chunked uploads answer to the first one.
var noChunks = []int{
	http.StatusBadRequest,
	http.StatusNotFound,
	http.StatusMethodNotAllowed,
	http.StatusLengthRequired,
	http.StatusUnsupportedMediaType,
	http.StatusNotImplemented,
}

// errNoChunks: the registry takes blobs in one piece only.
var errNoChunks = errors.New("the registry refuses chunked uploads")
