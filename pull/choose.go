// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
)

// Choose resolves ref at src once and returns the manifest of the platform
// ("os/arch[/variant]", "" for linux on this machine's architecture), without
// fetching what is below it. An index without the platform is a
// [PlatformError].
func Choose(ctx context.Context, src image.Source, ref image.Reference, platform string) (image.Manifest, error) {
	want, err := parsePlatform(platform)
	if err != nil {
		return image.Manifest{}, err
	}
	f := &fetch{src: src, ref: ref}
	root, err := f.resolve(ctx)
	if err != nil {
		return image.Manifest{}, err
	}
	m, err := f.choose(ctx, root, want)
	if err != nil {
		return m, fmt.Errorf("index %s: %w", root.Descriptor.Digest, err)
	}
	return m, nil
}
