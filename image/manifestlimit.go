// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import "context"

type manifestLimitKey struct{}

// WithManifestLimit returns a context in which sources read no manifest of more than
// limit bytes, and of a larger one no more than that before they refuse it with
// [ErrTooLarge]. It is for what many of are read and kept, such as referrers: what a
// list says of their sizes is not to be believed. It never allows more than
// [MaxManifest]. The context carries it, as it passes through every source that reads
// from another one.
func WithManifestLimit(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, manifestLimitKey{}, min(limit, manifestLimit(ctx)))
}

// manifestLimit is how large a manifest may be here, in bytes.
func manifestLimit(ctx context.Context) int64 {
	if limit, ok := ctx.Value(manifestLimitKey{}).(int64); ok {
		return limit
	}
	return MaxManifest
}
