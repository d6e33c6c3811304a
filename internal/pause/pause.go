// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package pause waits for a while that can be cut short.
//
// Door: [For].
package pause

import (
	"context"
	"time"
)

// For waits for d, and returns the error of ctx if that ends before.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
