// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"errors"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/testregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	p := ours(t, file{name: "a.o", content: "a"})
	p.tag = ""
	arm64 := k.image(p)
	arm64.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	k.index("v1", arm64)
	if m, err := Choose(t.Context(), k.src, k.ref, "linux/arm64"); err != nil || m.Descriptor.Digest != arm64.Digest {
		t.Errorf("got %s, %v, want %s", m.Descriptor.Digest, err, arm64.Digest)
	}
	var missing *PlatformError
	if _, err := Choose(t.Context(), k.src, k.ref, "linux/amd64"); !errors.As(err, &missing) {
		t.Errorf("got %v, want a PlatformError", err)
	}
	if _, err := Choose(t.Context(), k.src, k.ref, "nonsense"); err == nil {
		t.Error("a platform without an architecture was accepted")
	}
	if _, err := Choose(t.Context(), k.src, k.ref.WithTag("none"), "linux/arm64"); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
