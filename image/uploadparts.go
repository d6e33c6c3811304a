// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// sendParts sends the chunks from the offset on.
func (u *upload) sendParts(ctx context.Context, s *session) error {
	for u.offset < u.desc.Size {
		if err := u.sendChunk(ctx, s); err != nil {
			return err
		}
		// Each accepted chunk may be followed by as many requests again.
		exchangeOf(ctx).progressed()
	}
	return u.finish(ctx, s, u.at, nil)
}

// sendChunk sends one chunk and learns where the next one goes.
func (u *upload) sendChunk(ctx context.Context, s *session) error {
	end := min(u.offset+u.chunk, u.desc.Size)
	resp, err := u.sendPart(ctx, s, part{http.MethodPatch, u.at, u.offset, u.content[u.offset:end]})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case u.refusesChunk(resp.StatusCode):
		return errNoChunks
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		u.refused = true // it is asked which byte it wants
		return fmt.Errorf("%w: it does not take byte %d now", errUploadLost, u.offset)
	case lost(resp.StatusCode):
		u.at = nil
		return fmt.Errorf("%w: it answered %d", errUploadLost, resp.StatusCode)
	}
	if err := checkDone(resp); err != nil {
		return err
	}
	have, said := uploadedBytes(resp)
	switch {
	case !said:
		have = end
	case have > end:
		u.at = nil
		return fmt.Errorf("%w: it says it has %d bytes after byte %d was sent", errUploadLost, have, end)
	case have <= u.offset:
		// Amazon's stands still after the first chunk, and nothing is lost
		// (aws/containers-roadmap#2831). What is true, the digest will tell.
		u.standing, have = true, end
	}
	u.reached(have)
	if resp.Header.Get("Location") == "" {
		return nil // the spec wants one; the old one is as good
	}
	return u.follow(resp)
}

func (u *upload) reached(offset int64) {
	u.offset = offset
	u.furthest = max(u.furthest, offset)
}

// askOffset asks how much of a cut upload has arrived (OCI distribution spec,
// "Pushing a blob in chunks": GET on its location). Without a usable answer it
// is begun anew, and in one piece if it is the chunks that are refused.
func (u *upload) askOffset(ctx context.Context, s *session) error {
	if u.standing {
		u.at = nil
		return nil
	}
	resp, err := s.send(ctx, http.MethodGet, u.at, nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if slices.Contains(transientStatus, resp.StatusCode) {
		return transport.CheckError(resp, http.StatusNoContent)
	}
	have, said := uploadedBytes(resp)
	usable := resp.StatusCode/100 == 2 && said && have <= u.desc.Size
	if !usable || u.refused && have == u.offset {
		u.at, u.whole = nil, usable // it wants the very byte that it refused
		return nil
	}
	// What it had and has no more is sent again. moved does not count it twice.
	u.reached(have)
	if resp.Header.Get("Location") == "" {
		return nil
	}
	return u.follow(resp)
}

// uploadRange is how registries say what they have. The distribution spec leaves
// "bytes=" out; some write it.
var uploadRange = lazyregexp.New(`^(?:bytes[= ])?0-(\d{1,18})$`)

// uploadedBytes reads the Range header of an upload. "0-0" would be one byte, but
// is what registries write for none; a chunk of one byte does not occur.
func uploadedBytes(resp *http.Response) (n int64, said bool) {
	m := uploadRange().FindStringSubmatch(resp.Header.Get("Range"))
	if m == nil {
		return 0, false
	}
	last, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits always fit
	if last == 0 {
		return 0, true
	}
	return last + 1, true
}

// part is one request that carries bytes of a blob.
type part struct {
	method string
	at     *url.URL
	offset int64
	data   []byte
}

// sendPart makes the request. The caller closes the response's body.
func (u *upload) sendPart(ctx context.Context, s *session, p part) (*http.Response, error) {
	ctx, dog, stop := watch(ctx, u.transfers.idle)
	open := func() (io.ReadCloser, error) {
		return io.NopCloser(&sendingReader{bytes.NewReader(p.data), u, p, dog}), nil
	}
	req, err := http.NewRequestWithContext(ctx, p.method, p.at.String(), http.NoBody)
	if err != nil {
		stop()
		return nil, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if len(p.data) == 0 {
		dog.rest()
	} else {
		req.Body, _ = open() // never fails
		req.GetBody = open
		req.ContentLength = int64(len(p.data))
	}
	if p.method == http.MethodPatch {
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", p.offset, p.offset+int64(len(p.data))-1))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		stop()
		return nil, stalled(ctx, err)
	}
	dog.rest()
	resp.Body = &stoppedBody{resp.Body, stop}
	return resp, nil
}

// stoppedBody ends the watch when the answer was read.
type stoppedBody struct {
	io.ReadCloser
	stop func()
}

func (b *stoppedBody) Close() error {
	defer b.stop()
	return b.ReadCloser.Close()
}

// sendingReader reports how far an upload is.
type sendingReader struct {
	r   *bytes.Reader
	u   *upload
	p   part
	dog *watchdog
}

func (r *sendingReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	switch {
	case r.r.Len() == 0:
		r.dog.rest()
	case n > 0:
		r.dog.moved()
	}
	if n > 0 {
		r.u.progress.report(r.u.desc, r.p.offset+int64(len(r.p.data)-r.r.Len()), EventTransfer)
	}
	return n, err
}
