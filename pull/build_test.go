// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/testregistry"
)

// What package build writes is read here, up to as many objects as it takes.
func TestReadsWhatBuildWrites(t *testing.T) {
	object := []byte(realObject(t))
	for _, n := range []int{1, build.MaxObjects} {
		var inputs []build.Input
		for i := range n {
			// Program names must differ; the new one is as long as the old.
			renamed := bytes.ReplaceAll(object, []byte("xdp_count"), fmt.Appendf(nil, "xdp_c%04d", i))
			inputs = append(inputs, build.Input{Name: fmt.Sprintf("%04d.bpf.o", i), Bytes: renamed})
		}
		k := newKit(t, testregistry.Options{})
		built, err := build.Build(t.Context(), k.src, k.ref, inputs, build.Options{})
		if err != nil {
			t.Fatal(err)
		}
		img := k.mustFetch(Options{})
		if img.Format != FormatBpfimg || len(img.Objects) != n || img.Described == nil || img.Root.Descriptor.Digest != built.Manifest.Descriptor.Digest {
			t.Errorf("%d objects: got %s, %d objects, %v", n, img.Format, len(img.Objects), img.Described)
		}
	}
}
