// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/bpfimg/bpfimg/internal/excerpt"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxMessage is how much of a registry's own message is kept, in bytes.
const maxMessage = 300

// RegistryError is a registry that answered with an error or did not answer.
// [errors.Is] sees [ErrNotFound], [ErrUnauthorized], [ErrPlainHTTP], why it did not
// take what was written ([ErrImmutable] and those beside it), the context's error or
// the network's.
type RegistryError struct {
	// Op is what was being done: "fetching manifest".
	Op string
	// Reference it was done for.
	Reference Reference
	// Status is the HTTP status of the last attempt, 0 when there was no answer.
	Status int
	// Code, Message and Detail are the registry's own words (OCI distribution spec,
	// "Error Codes"), empty when it gave none; a detail that is no text is JSON.
	// Foreign text: quote it. It is shortened, and has no credentials.
	Code, Message, Detail string
	// Attempts counts how often it was tried.
	Attempts int
	// RetryAfter is how long the registry asked to be left alone when it was asked
	// last; 0 when it did not say.
	RetryAfter time.Duration
	// Err is the reason.
	Err error

	complaint complaint
}

// Error is one sentence with the reference in it.
func (e *RegistryError) Error() string {
	s := fmt.Sprintf("%s %s: %v", e.Op, e.Reference, e.Err)
	s += e.words()
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(", it asks to wait %s", e.RetryAfter.Round(time.Second))
	}
	if e.Attempts > 1 {
		s += fmt.Sprintf(", %d attempts", e.Attempts)
	}
	return s
}

// words are the registry's own, in brackets.
func (e *RegistryError) words() string {
	if e.Code == "" && e.Message == "" && e.Detail == "" {
		return ""
	}
	s := printable(e.Code)
	for _, text := range []string{e.Message, e.Detail} {
		if text != "" {
			s += fmt.Sprintf(": %q", text)
		}
	}
	return " (" + s + ")"
}

// Unwrap returns Err.
func (e *RegistryError) Unwrap() error { return e.Err }

// printable keeps a code bare when it looks like one.
func printable(code string) string {
	if code != "" && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		return code
	}
	return fmt.Sprintf("%q", code)
}

// handshakeError is a failure before the operation itself: a 404 then means that
// there is no registry, not that the image is missing.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// sourceError marks a failure of the reading side of a copy, which the writing
// side passes on as it is.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// operation is what an error names.
type operation struct {
	name string
	ref  Reference
}

// failed makes the error of attempt n from what the operation returned and the
// last error the network gave, if any.
func (op operation) failed(err, lastErr error, n int) error {
	var source *sourceError
	if errors.As(err, &source) {
		return source
	}
	e := &RegistryError{Op: op.name, Reference: op.ref, Attempts: n}
	var answer *transport.Error
	if errors.As(err, &answer) {
		var handshake *handshakeError
		e.Status, e.complaint = answer.StatusCode, newComplaint(answer)
		if len(answer.Errors) > 0 {
			e.Code = cut(string(answer.Errors[0].Code))
			e.Message = quiet(answer.Errors[0].Message)
			if e.Detail = quiet(detailText(answer.Errors[0].Detail)); e.Detail == e.Message {
				e.Detail = ""
			}
		}
		if cause := refusedWrite(err); cause != nil {
			e.Err = fmt.Errorf("%w: %s", cause, answeredWith(op.ref.registry, answer.StatusCode))
			return e
		}
		e.Err = statusError(op.ref.registry, answer.StatusCode, errors.As(err, &handshake))
		return e
	}
	e.Err = networkError(op.ref.registry, err, lastErr)
	return e
}

// statusError words an HTTP status. The sentinels come first, so that a caller
// need not know the numbers.
func statusError(registry string, status int, handshake bool) error {
	answered := answeredWith(registry, status)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrUnauthorized, answered)
	case status == http.StatusNotFound && handshake:
		return fmt.Errorf("%s to /v2/: it is no OCI registry", answered)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: %s", ErrNotFound, answered)
	}
	return errors.New(answered)
}

func answeredWith(registry string, status int) string {
	return fmt.Sprintf("registry %s answered %d %s", registry, status, http.StatusText(status))
}

// networkError words everything that is not an answer. URLs are left out: they
// can carry signatures and account names.
func networkError(registry string, err, lastErr error) error {
	if lastErr != nil {
		// Where two schemes were possible, the one that was really tried counts.
		switch {
		case isCertificate(lastErr), isProxy(lastErr):
			err = lastErr
		case errors.Is(err, ErrPlainHTTP):
			return fmt.Errorf("registry %s does not answer https (%w); if it speaks plain http, allow that with --plain-http", registry, lastErr)
		case errors.Is(err, errNotTried):
			err = lastErr
		}
	}
	err = withoutURL(err)
	switch {
	case isProxy(err):
		return fmt.Errorf("the proxy on the way to registry %s: %w", registry, err)
	case isCertificate(err):
		return fmt.Errorf("registry %s: %w; if its certificate is of an authority of your own, name that in the settings (ca) or in certs.d", registry, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("registry %s refused the connection, is it running? (%w)", registry, err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("registry %s speaks plain http; allow that with --plain-http: %w", registry, err)
	case errors.Is(err, ErrPlainHTTP):
		return fmt.Errorf("registry %s: %w; allow it with --plain-http", registry, err)
	case strings.Contains(err.Error(), "no token in bearer response"):
		// The library's text goes on with the whole response of the token server.
		return fmt.Errorf("the token server of registry %s sent no token", registry)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("registry %s did not answer in time: %w", registry, err)
	}
	return err
}

// isProxy: the proxy refused or did not answer, and not the registry. What the
// transport calls the operation is part of its stable behaviour.
func isProxy(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "proxyconnect" || op.Op == "socks connect")
}

// isCertificate: nobody who is trusted vouches for the host.
func isCertificate(err error) bool {
	var wrong *tls.CertificateVerificationError
	return errors.As(err, &wrong)
}

// withoutURL drops the layers of [http.Client], whose text is the whole URL.
func withoutURL(err error) error {
	for {
		var u *url.Error
		if !errors.As(err, &u) {
			return err
		}
		err = u.Err
	}
}

// cut shortens what a registry says.
func cut(s string) string { return excerpt.Of(s, maxMessage) }
