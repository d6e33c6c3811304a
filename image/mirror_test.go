// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image/hosts"
)

// withSettings is a client with a settings file of this content.
func withSettings(t *testing.T, settings string, opts RegistryOptions) *Registry {
	t.Helper()
	h, err := hosts.Parse("config.yaml", []byte(settings))
	if err != nil {
		t.Fatal(err)
	}
	opts.Hosts = h
	return testClient(t, opts)
}

// mirrored is a registry with mirrors, all on this machine.
func mirrored(origin string, mirrors ...string) string {
	s := "registries:\n- prefix: " + origin + "\n  mirrors:\n"
	for _, m := range mirrors {
		s += "  - location: " + m + "\n"
	}
	return s
}

// nobody is an address that refuses connections: that of the calling end of one,
// which keeps others from listening there while the test goes on.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	taken, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	return taken.LocalAddr().String()
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// TestMirrorHelps: what the mirror has is not asked of the registry, by another
// path there.
func TestMirrorHelps(t *testing.T) {
	t.Parallel()
	origin, asked := newRegistryServer(t, true)
	mirror, _ := newRegistryServer(t, true)
	im := newImage(t, "mirror", nil)
	signature := referrerOf(t, im.manifest, "signature")
	plain := testClient(t, RegistryOptions{})
	im.put(t, plain, mustParse(t, mirror+"/hub/net/a:v1"))
	signature.put(t, plain, mustParse(t, mirror+"/hub/net/a@"+signature.manifest.Descriptor.Digest.String()))

	r := withSettings(t, mirrored(origin, mirror+"/hub"), RegistryOptions{})
	ref := mustParse(t, origin+"/net/a:v1")
	im.check(t, r, ref)
	list, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
	if err != nil || len(list) != 1 {
		t.Errorf("referrers: %v, %v", list, err)
	}
	if got := asked.requests(""); len(got) != 0 {
		t.Errorf("the registry was asked: %v", got)
	}
}

// TestMirrorFails: whatever is wrong with a mirror, the next place helps; without
// one the error names all of them.
func TestMirrorFails(t *testing.T) {
	t.Parallel()
	im := newImage(t, "fallback", nil)
	good, goodSeen := newRegistryServer(t, true)
	im.put(t, testClient(t, RegistryOptions{}), mustParse(t, good+"/a:v1"))
	goodSeen.reset()
	empty, _ := newRegistryServer(t, true)
	serveHost := func(h http.Handler) string { host, _ := serve(t, h); return host }
	for name, mirror := range map[string]string{
		"missing":      empty,
		"500":          serveHost(status(http.StatusInternalServerError)),
		"429":          serveHost(status(http.StatusTooManyRequests)),
		"unauthorised": serveHost(status(http.StatusUnauthorized)),
		"forbidden":    serveHost(status(http.StatusForbidden)),
		"unreachable":  nobody(t),
		"no registry":  serveHost(http.NotFoundHandler()),
		"corrupt": serveHost(answer(func(w http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.URL.Path, "/manifests/") {
				w.Header().Set("Docker-Content-Digest", im.manifest.Descriptor.Digest.String())
			}
			w.Header().Set("Content-Type", im.manifest.Descriptor.MediaType)
			_, _ = w.Write([]byte("junk " + req.URL.Path))
		})),
		"cut": serveHost(answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "900")
			_, _ = w.Write([]byte("{"))
		})),
	} {
		t.Run(name, func(t *testing.T) {
			im.check(t, withSettings(t, mirrored(good, mirror), RegistryOptions{}), mustParse(t, good+"/a:v1"))
			im.check(t, withSettings(t, mirrored(good, mirror, empty), RegistryOptions{}), mustParse(t, good+"/a@"+im.manifest.Descriptor.Digest.String()))

			_, err := withSettings(t, mirrored(empty, mirror), RegistryOptions{}).Manifest(t.Context(), mustParse(t, empty+"/a:v1"))
			var all *MirrorsError
			if !errors.As(err, &all) || len(all.Mirrors) != 1 || !errors.Is(err, ErrNotFound) ||
				!strings.Contains(err.Error(), mirror) || !strings.Contains(err.Error(), empty+"/a:v1") {
				t.Errorf("got %v, want that each place is named and the registry's own answer", err)
			}
		})
	}
	if len(goodSeen.requests("PUT")) > 0 {
		t.Error("something was written")
	}
}

// TestMirrorOrder: they are asked in their order, and one that does not answer is
// not asked again for each part of an image.
func TestMirrorOrder(t *testing.T) {
	t.Parallel()
	im := newImage(t, "order", nil)
	broken, brokenSeen := serve(t, status(http.StatusServiceUnavailable))
	first, _ := newRegistryServer(t, true)
	second, secondSeen := newRegistryServer(t, true)
	for _, host := range []string{first, second} {
		im.put(t, testClient(t, RegistryOptions{}), mustParse(t, host+"/a:v1"))
	}
	secondSeen.reset()
	origin := nobody(t)
	im.check(t, withSettings(t, mirrored(origin, broken, first, second), RegistryOptions{}), mustParse(t, origin+"/a:v1"))
	if got := len(secondSeen.requests("")); got != 0 {
		t.Errorf("the second mirror got %d requests, want none", got)
	}
	if got := len(brokenSeen.requests("")); got != 1 {
		t.Errorf("the broken mirror got %d requests, want 1", got)
	}
}

// TestReferrersBehindMirror: a mirror without referrers does not hide those of
// the registry, in either form.
func TestReferrersBehindMirror(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		mirror, _ := newRegistryServer(t, api)
		origin, _ := newRegistryServer(t, api)
		im := newImage(t, "behind", nil)
		signature := referrerOf(t, im.manifest, "signature")
		plain := testClient(t, RegistryOptions{})
		for _, host := range []string{mirror, origin} {
			im.put(t, plain, mustParse(t, host+"/a:v1"))
		}
		tag := strings.Replace(im.manifest.Descriptor.Digest.String(), ":", "-", 1) + ".sig"
		signature.put(t, plain, mustParse(t, origin+"/a@"+signature.manifest.Descriptor.Digest.String()))
		im.put(t, plain, mustParse(t, origin+"/a:"+tag))

		r := withSettings(t, mirrored(origin, mirror), RegistryOptions{})
		subject := mustParse(t, origin+"/a@"+im.manifest.Descriptor.Digest.String())
		if list, err := r.Referrers(t.Context(), subject); err != nil || len(list) != 1 {
			t.Errorf("API %t: referrers %v, %v", api, list, err)
		}
		if _, err := r.Manifest(t.Context(), subject.WithTag(tag)); err != nil {
			t.Errorf("API %t: %v", api, err)
		}
	}
}

// TestMirrorAlone: a mirror that has no signatures is enough while the registry is
// down, and says so; any other question stays open.
func TestMirrorAlone(t *testing.T) {
	t.Parallel()
	mirror, _ := newRegistryServer(t, true)
	origin := nobody(t)
	im := newImage(t, "alone", nil)
	im.put(t, testClient(t, RegistryOptions{}), mustParse(t, mirror+"/a:v1"))
	var said strings.Builder
	r := withSettings(t, mirrored(origin, mirror), RegistryOptions{Log: slog.New(slog.NewTextHandler(&said, nil))})
	ref := mustParse(t, origin+"/a:v1")
	im.check(t, r, ref)
	subject := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	if list, err := r.Referrers(t.Context(), subject); err != nil || len(list) != 0 {
		t.Errorf("referrers %v, %v", list, err)
	}
	if !strings.Contains(said.String(), "nothing attached") {
		t.Errorf("no warning, but %q", said.String())
	}
	tag := strings.Replace(subject.digest, ":", "-", 1) + ".sig"
	if _, err := r.Manifest(t.Context(), ref.WithTag(tag)); !errors.Is(err, ErrNotFound) {
		t.Errorf("the tag of a signature: %v, want ErrNotFound", err)
	}
	// A registry that answers is not down, whatever it says.
	closed, _ := serve(t, status(http.StatusForbidden))
	subject.registry = closed
	if _, err := withSettings(t, mirrored(closed, mirror), RegistryOptions{}).Referrers(t.Context(), subject); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("referrers of a registry that refuses: %v, want ErrUnauthorized", err)
	}
	if _, err := r.Manifest(t.Context(), ref.WithTag("v2")); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("another tag: %v, want another error than ErrNotFound", err)
	}
}

// TestDigestsOnly: such a mirror decides nothing.
func TestDigestsOnly(t *testing.T) {
	t.Parallel()
	mirror, seen := newRegistryServer(t, true)
	origin, _ := newRegistryServer(t, true)
	old, im := newImage(t, "old", nil), newImage(t, "new", nil)
	plain := testClient(t, RegistryOptions{})
	old.put(t, plain, mustParse(t, mirror+"/a:v1"))
	im.put(t, plain, mustParse(t, mirror+"/a:v2"))
	im.put(t, plain, mustParse(t, origin+"/a:v1"))
	ref := mustParse(t, origin+"/a:v1")
	old.check(t, withSettings(t, mirrored(origin, mirror), RegistryOptions{}), ref)

	seen.reset()
	r := withSettings(t, mirrored(origin, mirror)+"    digests-only: true\n", RegistryOptions{})
	im.check(t, r, ref)
	if _, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String())); err != nil {
		t.Error(err)
	}
	if len(seen.requests("/manifests/"))+len(seen.requests("/referrers/")) != 0 || len(seen.requests("/blobs/")) == 0 {
		t.Errorf("the mirror was asked for %v, want blobs only", seen.requests(""))
	}
	// What is about to be changed is read where it is changed.
	im.check(t, withSettings(t, mirrored(origin, mirror), RegistryOptions{}).WithoutMirrors(), ref)
}

// TestWritesPassMirrorsBy: a push goes to the registry, wherever it really is.
func TestWritesPassMirrorsBy(t *testing.T) {
	t.Parallel()
	mirror, seen := newRegistryServer(t, true)
	origin, _ := newRegistryServer(t, false)
	r := withSettings(t, mirrored("registry.example/net", mirror)+"  location: "+origin+"/moved\n", RegistryOptions{})
	im := newImage(t, "push", nil)
	signature := referrerOf(t, im.manifest, "signature")
	ref := mustParse(t, "registry.example/net/a:v1")
	im.put(t, r, ref)
	signature.put(t, r, ref.WithDigest(signature.manifest.Descriptor.Digest.String()))
	// Mounted from where it really is.
	other := mustParse(t, "registry.example/net/b:v1")
	if err := r.PutBlob(t.Context(), other, im.descs[1], im.layer, "net/a"); err != nil {
		t.Error(err)
	}
	for from, want := range map[string]string{"net/a": "moved/a", "elsewhere/a": "", "": ""} {
		if got := r.mountable(other, from); got != want {
			t.Errorf("a blob of %q is mounted from %q, want %q", from, got, want)
		}
	}
	if got := seen.requests(""); len(got) != 0 {
		t.Errorf("the mirror got %v", got)
	}
	im.check(t, testClient(t, RegistryOptions{}), mustParse(t, origin+"/moved/a:v1"))
	if list, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String())); err != nil || len(list) != 1 {
		t.Errorf("referrers %v, %v", list, err)
	}
	tags, _, err := r.Tags(t.Context(), ref, 10, func(string) bool { return true })
	if err != nil || !slices.Contains(tags, "v1") {
		t.Errorf("tags %v, %v", tags, err)
	}
	_, err = r.WithoutMirrors().Manifest(t.Context(), ref.WithTag("v9"))
	var failed *RegistryError
	if !errors.As(err, &failed) || failed.Reference != ref.WithTag("v9") || !strings.Contains(err.Error(), origin) {
		t.Errorf("got %v, want the name asked for and the host that answered", err)
	}
}

// TestBlocked: no connection is made.
func TestBlocked(t *testing.T) {
	t.Parallel()
	host, seen := newRegistryServer(t, true)
	r := withSettings(t, "registries:\n- {prefix: "+host+"/bad, blocked: true}\n", RegistryOptions{})
	im := newImage(t, "blocked", nil)
	_, readErr := r.Manifest(t.Context(), mustParse(t, host+"/bad/a:v1"))
	writeErr := im.tryPut(t.Context(), r, mustParse(t, host+"/bad/a:v1"))
	for _, err := range []error{readErr, writeErr} {
		if !errors.Is(err, hosts.ErrBlocked) || !strings.Contains(err.Error(), "config.yaml, entry 1") {
			t.Errorf("got %v", err)
		}
	}
	if got := seen.requests(""); len(got) != 0 {
		t.Errorf("it was asked: %v", got)
	}
	im.put(t, r, mustParse(t, host+"/good:v1"))
}

// TestMirrorGetsNoForeignCredentials: the registry's go to the registry, the
// mirror's to the mirror, also when a mirror asks for them at a realm.
func TestMirrorGetsNoForeignCredentials(t *testing.T) {
	t.Parallel()
	im := newImage(t, "isolation", nil)
	var origin string
	origin, asked := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != basicHeader() {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		sendManifest(w, im.manifest)
	}))
	for name, challenge := range map[string]string{
		"basic":           `Basic realm="test"`,
		"the origin":      `Bearer realm="http://` + origin + `/token",service="s"`,
		"a realm of ours": `Bearer realm="/token",service="s"`,
	} {
		mirror, seen := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		r := withSettings(t, mirrored(origin, mirror), RegistryOptions{Keychain: keys(origin)})
		if _, err := r.Manifest(t.Context(), mustParse(t, origin+"/a:v1")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if seen.carriesSecret() {
			t.Errorf("%s: the mirror got the registry's credentials", name)
		}
		asked.reset()
		r = withSettings(t, mirrored(origin, mirror), RegistryOptions{Keychain: keys(mirror)})
		if _, err := r.Manifest(t.Context(), mustParse(t, origin+"/a:v1")); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("%s: got %v, want ErrUnauthorized", name, err)
		}
		if asked.carriesSecret() {
			t.Errorf("%s: the registry got the mirror's credentials", name)
		}
	}
}

// TestMirrorEndsWithContext: who gives up is not sent on.
func TestMirrorEndsWithContext(t *testing.T) {
	t.Parallel()
	origin, asked := newRegistryServer(t, true)
	ctx, cancel := context.WithCancel(t.Context())
	mirror, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
	_, err := withSettings(t, mirrored(origin, mirror), RegistryOptions{}).Manifest(ctx, mustParse(t, origin+"/a:v1"))
	if !errors.Is(err, context.Canceled) || len(asked.requests("")) != 0 {
		t.Errorf("got %v and requests %v", err, asked.requests(""))
	}
}
