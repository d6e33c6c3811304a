// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pause

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for _, row := range []struct {
			d, took time.Duration
			err     error
		}{
			{2 * time.Second, 2 * time.Second, nil},
			{2 * time.Second, time.Second, context.DeadlineExceeded},
		} {
			begin := time.Now()
			if err := For(ctx, row.d); !errors.Is(err, row.err) || time.Since(begin) != row.took {
				t.Errorf("%v after %v, want %v after %v", err, time.Since(begin), row.err, row.took)
			}
		}
	})
}
