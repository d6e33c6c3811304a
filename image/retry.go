// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bpfimg/bpfimg/internal/pause"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Defaults of [Retry].
const (
	defaultAttempts = 4
	defaultDelay    = 500 * time.Millisecond
	defaultMaxDelay = time.Minute
)

// Retry says how transient failures are retried: 408, 429, 500, 502, 503 and
// 504, connections cut or timed out, and bodies that end early. A refused
// connection is not retried. Zero fields mean the default.
type Retry struct {
	// Attempts counts all attempts of one operation, the first included.
	// Default: 4.
	Attempts int
	// Delay before the second attempt; it doubles with each further one, with up
	// to a quarter of jitter. Default: 500 ms.
	Delay time.Duration
	// MaxDelay bounds one wait. A registry that asks with Retry-After for a longer
	// one is not asked again. Default: 1 minute.
	MaxDelay time.Duration
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = defaultAttempts
	}
	if r.Delay <= 0 {
		r.Delay = defaultDelay
	}
	if r.MaxDelay <= 0 {
		r.MaxDelay = defaultMaxDelay
	}
	return r
}

// wait is the pause after failed attempt n (from 1) when the registry asked for
// asked (0: it did not).
func (r Retry) wait(n int, asked time.Duration) time.Duration {
	d := r.MaxDelay
	if shift := n - 1; shift < 16 {
		d = r.Delay << shift
	}
	d += time.Duration(rand.Int64N(int64(d)/4 + 1))
	return min(max(d, asked), r.MaxDelay)
}

// settle is the pause after an update that took so long, in which the updates of
// others that began before it end, as they take about as long. Random, so that
// two do not overwrite each other in step.
func (r Retry) settle(took time.Duration) time.Duration {
	d := min(max(r.Delay/5, 2*took), r.MaxDelay)
	return d + time.Duration(rand.Int64N(int64(d)+1))
}

// transientStatus are the answers worth another attempt.
var transientStatus = []int{
	http.StatusRequestTimeout,
	http.StatusTooManyRequests,
	http.StatusInternalServerError,
	http.StatusBadGateway,
	http.StatusServiceUnavailable,
	http.StatusGatewayTimeout,
}

func isTransient(err error) bool {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return slices.Contains(transientStatus, answer.StatusCode)
	}
	for _, cut := range []error{io.ErrUnexpectedEOF, io.EOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed, errCut, errStalled, errTorn, errUploadLost} {
		if errors.Is(err, cut) {
			return true
		}
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// errCut: the connection broke while an answer came, or before it did.
var errCut = errors.New("the connection was cut")

// resetStream is how net/http, which exports no types for it, describes a stream of
// HTTP/2 that the other side gave up; its own error fits any struct of this form.
type resetStream struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (resetStream) Error() string { return errCut.Error() }

// cutOff marks errors of HTTP/2 that mean a broken connection. Those of HTTP/1 are
// the system's.
func cutOff(err error) error {
	var reset resetStream
	if errors.As(err, &reset) || strings.HasPrefix(err.Error(), "http2: ") {
		return fmt.Errorf("%w: %w", errCut, err)
	}
	return err
}

// steadyProgress is how many bytes make an attempt that was cut a good one.
const steadyProgress = 1 << 20

// effort bounds one operation.
type effort struct {
	// bodyLimit bounds every response, in bytes.
	bodyLimit int64
	// moved, for one that goes on where it was cut, is the most bytes that ever
	// were on the other side; nil otherwise.
	moved func() int64
}

// attempt runs one operation until it succeeds, fails for good, or the context or
// the attempts end. One that was brought on by [steadyProgress] or more may fail
// as often again, so that a line that breaks every few megabytes suffices; as
// moved only grows, and ends at the blob's size, so do the attempts end.
func (r Retry) attempt(ctx context.Context, op operation, work effort, f func(context.Context) error) error {
	failures, mark := 0, int64(0)
	for n := 1; ; n++ {
		x := &exchange{bodyLimit: work.bodyLimit}
		err := f(withExchange(ctx, x))
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return op.failed(context.Cause(ctx), nil, n)
		}
		if work.moved != nil && work.moved() >= mark+steadyProgress {
			failures, mark = 0, work.moved()
		}
		failures++
		asked, lastErr := x.outcome()
		wait := r.wait(failures, asked)
		if failures >= r.Attempts || !isTransient(err) || asked > r.MaxDelay || endsWithin(ctx, wait) {
			return asking(op.failed(err, lastErr, n), asked)
		}
		if pause.For(ctx, wait) != nil {
			return op.failed(err, lastErr, n)
		}
	}
}

// asking adds the wait a registry asked for to its error.
func asking(err error, wait time.Duration) error {
	var answer *RegistryError
	if errors.As(err, &answer) {
		answer.RetryAfter = wait
	}
	return err
}

// endsWithin: waiting would only turn the registry's answer into "too late".
func endsWithin(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < d
}
