// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxUpload bounds a blob that is pushed, in bytes. What we read of others ends
// at [MaxLayer]; this only keeps sizes that cannot be meant out of the arithmetic.
const maxUpload = 1 << 40

const (
	// headerMinChunk is the least size of all chunks but the last that the registry
	// takes (OCI distribution spec, "Pushing a blob in chunks").
	headerMinChunk = "OCI-Chunk-Min-Length"
	// headerMaxChunk is the most; only Cloudflare's serverless-registry has it.
	headerMaxChunk = "OCI-Chunk-Max-Length"
)

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
	// doubted: the repository says that it has what it lacks, so it is not asked.
	doubted bool

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
	// standing: the Range of its answers stands still, although it takes the chunks.
	standing bool
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
	if !u.doubted {
		if there, err := s.hasBlob(ctx, u.desc); there || err != nil {
			return there, err
		}
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
	u.offset, u.refused, u.standing = 0, false, false
	u.chunk = chunkSize(u.transfers.chunk, resp.Header)
	return false, u.follow(resp)
}

// chunkSize fits the size that we would take to what the registry asks for. Where it
// wants no less and no more than what cannot be both, the upper limit counts.
func chunkSize(ours int64, header http.Header) int64 {
	if least, err := strconv.ParseInt(header.Get(headerMinChunk), 10, 64); err == nil {
		ours = max(ours, least)
	}
	if most, err := strconv.ParseInt(header.Get(headerMaxChunk), 10, 64); err == nil && most > 0 {
		ours = min(ours, most)
	}
	return ours
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
	if u.standing && (lost(resp.StatusCode) || resp.StatusCode == http.StatusBadRequest) {
		return errNoChunks // it has not kept what it seemed to take
	}
	if lost(resp.StatusCode) {
		u.at = nil
		return fmt.Errorf("%w: it answered %d", errUploadLost, resp.StatusCode)
	}
	if err := checkDone(resp); err != nil {
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

// checkDone takes any 2xx: what the specification says of each step (201, 202, 204)
// is not what all registries answer, and what is needed next is in the header.
func checkDone(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return transport.CheckError(resp, http.StatusOK)
}

// noChunks are what registries answer to a chunk that take none, or none of this size.
var noChunks = []int{
	http.StatusBadRequest,
	http.StatusMethodNotAllowed,
	http.StatusLengthRequired,
	http.StatusUnsupportedMediaType,
	http.StatusNotImplemented,
}

// refusesChunk says whether a status means that the blob has to go in one piece. To a
// first chunk, 404 and 416 do too: nothing was there that could be lost, and no other
// byte can come next (GitHub's 416 is for chunks over 4 MiB).
func (u *upload) refusesChunk(status int) bool {
	if u.offset == 0 && (status == http.StatusNotFound || status == http.StatusRequestedRangeNotSatisfiable) {
		return true
	}
	return slices.Contains(noChunks, status)
}

// errNoChunks: the registry takes blobs in one piece only.
var errNoChunks = errors.New("the registry refuses chunked uploads")
