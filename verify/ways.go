// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
)

// ways says what must come along with a signature.
type ways struct {
	log      bool // a transparency log entry
	time     bool // proof of when it was made
	wantTime bool // such proof where there is one
	sct      bool // proof that the certificate was logged
}

// run verifies e with the most proof that it has, and returns that it was
// logged. What is demanded is never left out.
func (w ways) run(e evidence, material root.TrustedMaterial, who sigverify.PolicyOption) (*sigverify.VerificationResult, bool, error) {
	switch {
	case w.log && !e.logged() && e.unread != nil:
		return nil, false, fmt.Errorf("its log entry is %w", e.unread)
	case w.log && !e.logged():
		return nil, false, errors.New("it has no entry of a transparency log, which is required")
	case w.time && !e.logged() && !e.stamped():
		return nil, false, errors.New("nothing proves when it was signed: it has neither a timestamp nor a log entry")
	}
	var failed error
	for _, timed := range []bool{true, false} {
		for _, logged := range []bool{true, false} {
			if !w.sensible(e, timed, logged) {
				continue
			}
			result, err := run(e, material, who, w.options(timed, logged)...)
			if err == nil {
				return result, logged, nil
			}
			if failed == nil {
				failed = fmt.Errorf("its proofs do not hold: %w", err)
			}
		}
	}
	return nil, false, failed
}

// sensible says whether to try with or without proof of time and log.
func (w ways) sensible(e evidence, timed, logged bool) bool {
	switch {
	case !timed && w.time, !logged && w.log:
		return false
	case timed && !w.time && !w.wantTime:
		return false
	case logged && !w.log && (!timed || !e.logged()): // for the time alone
		return false
	}
	return true
}

// options for the library. A log entry's time counts only together with the
// demand for the entry; a certificate is judged at every proven time.
func (w ways) options(timed, logged bool) []sigverify.VerifierOption {
	opts := []sigverify.VerifierOption{sigverify.WithNoObserverTimestamps()}
	if timed {
		opts[0] = sigverify.WithObserverTimestamps(1)
	}
	if logged {
		opts = append(opts, sigverify.WithTransparencyLog(1))
	}
	if w.sct {
		opts = append(opts, sigverify.WithSignedCertificateTimestamps(1))
	}
	return opts
}
