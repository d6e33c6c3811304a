// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// errTorn: a blob put together from several answers is not the one wanted. One
// of them may have been bad, so that it is worth fetching it in one piece.
var errTorn = errors.New("its parts do not fit together")

// download is one blob on its way from a registry. It outlives the attempts, so
// that each goes on where the one before was cut. What makes that safe is the
// digest, which is that of the whole: nothing else, no ETag and no If-Range, has
// to be believed.
type download struct {
	desc      ocispec.Descriptor
	transfers *transfers
	progress  reporter

	buf bytes.Buffer
	// from is the repository that buf came from.
	from string
	// parts counts the answers buf is made of; furthest is the most it ever held.
	parts    int
	furthest int64
}

// moved is how much has ever been there, in bytes.
func (d *download) moved() int64 { return d.furthest }

// fetch makes one attempt.
func (d *download) fetch(ctx context.Context, s *session) error {
	end, err := d.transfers.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	ctx, dog, stop := watch(ctx, d.transfers.idle)
	defer stop()
	// What a mirror left is not continued elsewhere: it may be what was wrong.
	if at := s.repo.Name(); at != d.from {
		d.restart()
		d.from = at
	}
	resp, err := d.open(ctx, s)
	if err != nil {
		return stalled(ctx, err)
	}
	defer resp.Body.Close()
	dog.rest() // the guard watches what follows
	if err := d.read(resp.Body); err != nil {
		return err
	}
	err = checkContent(d.buf.Bytes(), d.desc)
	if err != nil && d.parts > 1 {
		d.restart()
		return fmt.Errorf("%w: %w", errTorn, err)
	}
	return err
}

// restart forgets what is there.
func (d *download) restart() {
	d.buf.Reset()
	d.parts = 0
}

// ask requests the blob, from byte from on. The registry is asked even if it
// redirected before: where it sent us may hold for a short time only.
func (d *download) ask(ctx context.Context, s *session, from int64) (*http.Response, error) {
	header := http.Header{}
	if from > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	return s.send(ctx, http.MethodGet, s.url("blobs/"+d.desc.Digest.String()), header, nil)
}

// noRange are answers of servers that do not like the Range header, or not this
// one, and may still have the blob.
var noRange = []int{
	http.StatusBadRequest,
	http.StatusMethodNotAllowed,
	http.StatusRequestedRangeNotSatisfiable,
	http.StatusNotImplemented,
}

// open returns an answer whose body goes on where buf ends.
func (d *download) open(ctx context.Context, s *session) (*http.Response, error) {
	have := int64(d.buf.Len())
	resp, err := d.ask(ctx, s, have)
	if err != nil {
		return nil, err
	}
	if have > 0 && resp.StatusCode != http.StatusOK {
		if d.continues(resp) {
			d.parts++
			return resp, nil
		}
		if resp.StatusCode == http.StatusPartialContent || slices.Contains(noRange, resp.StatusCode) {
			d.restart()
			_ = resp.Body.Close() // of no interest
			if resp, err = d.ask(ctx, s, 0); err != nil {
				return nil, err
			}
		}
	}
	if err := d.whole(resp); err != nil {
		return nil, joined.Errors(err, resp.Body.Close())
	}
	return resp, nil
}

// whole accepts an answer that is the blob from its first byte on.
func (d *download) whole(resp *http.Response) error {
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return err
	}
	d.restart()
	d.parts = 1
	switch size := d.desc.Size; {
	case resp.ContentLength > size:
		return fmt.Errorf("the registry announces %d bytes instead of %d: %w", resp.ContentLength, size, ErrTooLarge)
	case resp.ContentLength >= 0 && resp.ContentLength < size:
		return fmt.Errorf("the registry announces %d bytes instead of %d: %w", resp.ContentLength, size, ErrDigestMismatch)
	case resp.ContentLength == size:
		d.buf.Grow(int(size) + bytes.MinRead)
	}
	return nil
}

// contentRange is the form of RFC 9110, 14.4.
var contentRange = lazyregexp.New(`^bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)$`)

// continues says whether an answer goes on exactly where buf ends. It may end
// before the blob does.
func (d *download) continues(resp *http.Response) bool {
	m := contentRange().FindStringSubmatch(resp.Header.Get("Content-Range"))
	if resp.StatusCode != http.StatusPartialContent || m == nil {
		return false
	}
	first, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits always fit
	last, _ := strconv.ParseInt(m[2], 10, 64)
	return first == int64(d.buf.Len()) && last >= first && last < d.desc.Size &&
		(m[3] == "*" || m[3] == strconv.FormatInt(d.desc.Size, 10)) &&
		(resp.ContentLength < 0 || resp.ContentLength == last-first+1)
}

// read appends the body to buf and makes sure that the blob ends there. The
// buffer grows with what arrives, not with what a descriptor promises.
func (d *download) read(r io.Reader) error {
	size := d.desc.Size
	body := io.LimitReader(r, size+1-int64(d.buf.Len()))
	for {
		_, err := io.CopyN(&d.buf, body, progressStep)
		d.furthest = max(d.furthest, min(int64(d.buf.Len()), size))
		d.progress.report(d.desc, min(int64(d.buf.Len()), size), EventTransfer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && int64(d.buf.Len()) != size {
			return fmt.Errorf("after %d of %d bytes: %w", d.buf.Len(), size, err)
		}
		if err != nil {
			break // all of it came before the connection was cut
		}
	}
	switch have := int64(d.buf.Len()); {
	case have < size:
		return fmt.Errorf("the registry sent %d of %d bytes: %w", have, size, io.ErrUnexpectedEOF)
	case have > size:
		d.restart()
		return fmt.Errorf("the registry sent more than %d bytes: %w", size, ErrTooLarge)
	}
	return nil
}
