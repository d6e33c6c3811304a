// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import "testing"

// TestSaysBytecode: the marks of every form that bpfimg has written, and of others.
func TestSaysBytecode(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		manifest string
		want     bool
	}{
		"bpfimg's image":                 {with(`"annotations":{"dev.bpfimg.programs":"{}","org.opencontainers.image.title":"x"}`), true},
		"bpfimg's first images":          {with(`"artifactType":"application/vnd.bpfimg.bytecode.v1"`), true},
		"bpfimg's artifact":              {foreign(with(`"artifactType":"application/vnd.bpfimg.bytecode.v1"`)), true},
		"the specification's annotation": {with(`"annotations":{"io.ebpf.programs":"{}"}`), true},
		"another image":                  {with(`"annotations":{"org.opencontainers.image.title":"x"}`), false},
		"another artifact":               {foreign(with(`"artifactType":"application/vnd.acme"`)), false},
		"what is attached":               {with(subjectOfThese, `"annotations":{"dev.bpfimg.programs":"{}"}`), false},
		"an index":                       {`{"schemaVersion":2,"manifests":[],"annotations":{"dev.bpfimg.programs":"{}"}}`, false},
	} {
		head, err := parseHead([]byte(row.manifest))
		if err != nil {
			t.Fatal(err)
		}
		if got := head.saysBytecode(); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}
