// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
)

// TestUploadToVendors: a blob of 9 MiB gets into the registries that take chunks in
// ways of their own, with the settings that everybody has.
func TestUploadToVendors(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(9 << 20)
	const four = "PATCH 0-4194303|PATCH 4194304-8388607|PATCH 8388608-9437183|PUT"
	for _, tt := range []struct {
		profile string
		chunk   int64 // 0: the default
		want    string
	}{
		{"ghcr", 0, "HEAD|POST|" + four},
		{"ghcr", 8 << 20, "HEAD|POST|PATCH 0-8388607|HEAD|POST|PUT"},
		{"ecr", 0, "HEAD|POST|" + four},
		{"gar", 0, "HEAD|POST|PATCH 0-4194303|HEAD|POST|PUT"},
		{"quay", 0, "HEAD|POST|" + four},
		{"gitea", 0, "HEAD|POST|" + four},
		{"cloudflare", 0, "HEAD|POST|PATCH 0-5242879|PATCH 5242880-9437183|PUT"},
		{"cloudflare", 6 << 20, "HEAD|POST|PATCH 0-6291455|PATCH 6291456-9437183|PUT"},
	} {
		t.Run(tt.profile, func(t *testing.T) {
			t.Parallel()
			profile, _ := testregistry.ProfileNamed(tt.profile)
			ref, rec := withRegistry(t, testregistry.Options{Profile: profile})
			r := testClient(t, RegistryOptions{ChunkSize: tt.chunk, Keychain: keys(ref.Registry())})
			if err := r.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
				t.Fatal(err)
			}
			var asked []string // without the login
			for _, c := range rec.Calls() {
				if c.Status/100 != 4 || c.Status == 404 || c.Status == 405 || c.Status == 416 {
					if strings.Contains(c.Path, "/blobs/") {
						asked = append(asked, strings.TrimSpace(c.Method+" "+c.Range))
					}
				}
			}
			if got := strings.Join(asked, "|"); got != tt.want {
				t.Errorf("requests\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}
