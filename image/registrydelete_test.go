// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
)

// TestDelete: what is asked for a reference, and what its registry's answer means.
func TestDelete(t *testing.T) {
	t.Parallel()
	const digestPlace = "@"
	for _, row := range []struct {
		name   string
		ref    string // "@" stands for the image's digest
		faults []testregistry.Fault
		want   error
		// deleted are the paths asked for, without the repository.
		deleted []string
	}{
		{"a tag", ":v1", nil, nil, []string{"v1"}},
		{"a digest", "@", nil, nil, []string{"@"}},
		{"a tag with its digest", ":v1@", nil, nil, []string{"v1"}},
		{"a tag that has moved", ":moved@", nil, ErrDigestMismatch, nil},
		{"no such tag", ":none", nil, ErrNotFound, []string{"none"}},
		{"no such tag, with a digest", ":none@", nil, ErrNotFound, nil},
		{"a tag, of digests only (405)", ":v1", []testregistry.Fault{{Method: "DELETE", Do: testregistry.Status(405, "x")}}, ErrNoTagDelete, []string{"v1"}},
		{"a tag, of digests only (400)", ":v1", []testregistry.Fault{{Method: "DELETE", Do: testregistry.Status(400, "x")}}, ErrNoTagDelete, []string{"v1"}},
		{"a digest, of none", "@", []testregistry.Fault{{Method: "DELETE", Do: testregistry.Status(405, "x")}}, ErrNoDelete, []string{"@"}},
		{"forbidden", ":v1", []testregistry.Fault{{Method: "DELETE", Do: testregistry.Status(403, "x")}}, ErrUnauthorized, []string{"v1"}},
		{"done, and the answer lost", ":v1", []testregistry.Fault{{Method: "DELETE", Times: 1, Do: testregistry.LoseAnswer()}}, nil, []string{"v1", "v1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			handler, err := testregistry.New(testregistry.Options{Faults: row.faults})
			if err != nil {
				t.Fatal(err)
			}
			host, rec := serve(t, handler)
			r := testClient(t, RegistryOptions{})
			im, other := newImage(t, "deleted", nil), newImage(t, "other", nil)
			im.put(t, r, mustParse(t, host+"/x:v1"))
			im.put(t, r, mustParse(t, host+"/x:v2"))
			other.put(t, r, mustParse(t, host+"/x:moved"))
			d := im.manifest.Descriptor.Digest.String()
			err = r.Delete(t.Context(), mustParse(t, host+"/x"+strings.Replace(row.ref, digestPlace, "@"+d, 1)))
			if !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			var deleted []string
			for _, path := range rec.requests(http.MethodDelete) {
				deleted = append(deleted, strings.Replace(strings.TrimPrefix(path, "DELETE /v2/x/manifests/"), d, "@", 1))
			}
			if !slices.Equal(deleted, row.deleted) {
				t.Errorf("deleted %v, want %v", deleted, row.deleted)
			}
			if row.ref != "@" {
				im.check(t, r, mustParse(t, host+"/x:v2")) // another tag of the digest is never touched
			}
		})
	}
}

// TestRetag: no blob comes or goes, whichever repository the new name is in, and what
// is attached is there afterwards.
func TestRetag(t *testing.T) {
	t.Parallel()
	handler, err := testregistry.New(testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	host, rec := serve(t, handler)
	r := testClient(t, RegistryOptions{})
	im := newImage(t, "retagged", nil)
	signature := referrerOf(t, im.manifest, "signature")
	src := mustParse(t, host+"/src:v1")
	im.put(t, r, src)
	signature.put(t, r, src.WithDigest(signature.manifest.Descriptor.Digest.String()))
	for _, to := range []string{"/src:v2", "/other/place:v1"} {
		rec.reset()
		dst := mustParse(t, host+to)
		desc, err := r.Retag(t.Context(), src, dst, nil)
		if err != nil || desc.Digest != im.manifest.Descriptor.Digest {
			t.Fatalf("%s: %s, %v", to, desc.Digest, err)
		}
		moved := slices.DeleteFunc(rec.requests("/blobs/"), func(s string) bool {
			return strings.HasPrefix(s, http.MethodHead) || strings.HasPrefix(s, http.MethodPost)
		})
		if len(moved) > 0 || dst.repository == src.repository && len(rec.requests("/blobs/")) > 0 {
			t.Errorf("%s: blobs were asked for: %v", to, rec.requests("/blobs/"))
		}
		im.check(t, r, dst)
		list, err := r.Referrers(t.Context(), dst.WithDigest(desc.Digest.String()))
		if err != nil || len(list) != 1 {
			t.Errorf("%s: %d referrers, want the signature (%v)", to, len(list), err)
		}
	}
}

// TestRetagNeverTransfers: a blob that is not mounted, of the image or of what is
// attached, is an error, and no reason to send it or to leave it out.
func TestRetagNeverTransfers(t *testing.T) {
	t.Parallel()
	im := newImage(t, "not mounted", nil)
	signature := referrerOf(t, im.manifest, "signature")
	for _, what := range []struct {
		name string
		skip int // mounts that are done
	}{{"the image's", 0}, {"the signature's", len(im.descs)}} {
		handler, err := testregistry.New(testregistry.Options{Faults: []testregistry.Fault{
			{Method: http.MethodPost, Path: "/dst/blobs/uploads/", Skip: what.skip, Do: testregistry.WithoutQuery()},
		}})
		if err != nil {
			t.Fatal(err)
		}
		host, rec := serve(t, handler)
		r := testClient(t, RegistryOptions{})
		src, dst := mustParse(t, host+"/src:v1"), mustParse(t, host+"/dst:v1")
		im.put(t, r, src)
		signature.put(t, r, src.WithDigest(signature.manifest.Descriptor.Digest.String()))
		rec.reset()
		if _, err := r.Retag(t.Context(), src, dst, nil); !errors.Is(err, ErrNotMounted) {
			t.Errorf("%s: %v, want %v", what.name, err, ErrNotMounted)
		}
		if got := rec.requests("GET /v2/src/blobs/"); len(got) > 0 {
			t.Errorf("%s: %v", what.name, got)
		}
	}
}

func TestRetagNames(t *testing.T) {
	t.Parallel()
	r := testClient(t, RegistryOptions{})
	d := newImage(t, "x", nil).manifest.Descriptor.Digest.String()
	for _, row := range []struct {
		dst  string
		want error
	}{
		{"localhost:2/x:v1", ErrOtherRegistry},
		{"localhost:1/x@" + d, ErrReference},
		{"localhost:1/x:v2@" + d, ErrReference},
	} {
		if _, err := r.Retag(t.Context(), mustParse(t, "localhost:1/x:v1"), mustParse(t, row.dst), nil); !errors.Is(err, row.want) {
			t.Errorf("%s: %v, want %v", row.dst, err, row.want)
		}
	}
}
