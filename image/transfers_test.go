// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
)

// busiest notes how many blobs are on their way at a time.
type busiest struct {
	mu        sync.Mutex
	now, most int
}

func (b *busiest) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/blobs/") && (req.Method == http.MethodGet || req.Method == http.MethodPut) {
			b.mu.Lock()
			b.now++
			b.most = max(b.most, b.now)
			b.mu.Unlock()
			defer func() {
				b.mu.Lock()
				b.now--
				b.mu.Unlock()
			}()
		}
		next.ServeHTTP(w, req)
	})
}

// TestMaxTransfers: one limit holds for all that is done with one value, both
// directions and copies within one registry included, where each side waits for
// the other.
func TestMaxTransfers(t *testing.T) {
	t.Parallel()
	const images, limit = 12, 3
	synctest.Test(t, func(t *testing.T) {
		registry, err := testregistry.New(testregistry.Options{Latency: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		busy := &busiest{}
		transport := testregistry.InProcess(busy.wrap(registry))
		r := testClient(t, RegistryOptions{Transport: transport, MaxTransfers: limit})
		var wg sync.WaitGroup
		for i := range images {
			wg.Go(func() {
				im := newImage(t, fmt.Sprint(i), nil)
				src := mustParse(t, fmt.Sprintf("localhost:1/src%d:v1", i))
				if err := im.tryPut(t.Context(), r, src); err != nil {
					t.Error(err)
				}
				// Another value than the one that mounts, so that bytes move.
				from := newRegistry(r.opts)
				from.transfers = r.transfers
				dst := mustParse(t, fmt.Sprintf("127.0.0.1:2/dst%d:v1", i))
				if _, err := Copy(t.Context(), r, dst, from, src, CopyOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if busy.most != limit {
			t.Errorf("%d blobs were on their way at a time, want %d", busy.most, limit)
		}
	})
}

// TestWaitForSlotEnds: whoever waits for a slot gives up with its context.
func TestWaitForSlotEnds(t *testing.T) {
	t.Parallel()
	transfers := newTransfers(RegistryOptions{MaxTransfers: 1})
	end, err := transfers.begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := transfers.begin(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	end()
	if _, err := transfers.begin(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBadTransferOptions(t *testing.T) {
	t.Parallel()
	for _, opts := range []RegistryOptions{{MaxTransfers: -1}, {ChunkSize: -1}, {IdleTimeout: -1}} {
		if _, err := NewRegistry(opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
}

// TestRetryAfterForms: both forms of the header, and what is done with dates and
// numbers nobody means. The bubble's clock begins in the year 2000.
func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	inAMinute := "Sat, 01 Jan 2000 00:01:00 GMT"
	tests := []struct {
		header   string
		deadline time.Duration // 0: none
		attempts int
		min, max time.Duration // that it took
	}{
		{"", 0, 3, time.Second, 4 * time.Second},
		{"7", 0, 3, 14 * time.Second, 14 * time.Second},
		{" 7 ", 0, 3, 14 * time.Second, 14 * time.Second},
		{inAMinute, 0, 3, time.Minute, 2 * time.Minute},
		{"Fri, 31 Dec 1999 23:59:59 GMT", 0, 3, time.Second, 4 * time.Second},
		{"Mon, 01 Jan 1900 00:00:00 GMT", 0, 3, time.Second, 4 * time.Second},
		{"-5", 0, 3, time.Second, 4 * time.Second},
		{"soon", 0, 3, time.Second, 4 * time.Second},
		{"99999999999999999999", 0, 3, time.Second, 4 * time.Second},
		// Longer than anyone waits: asking earlier would only annoy.
		{"3600", 0, 1, 0, 0},
		{"2147483647", 0, 1, 0, 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", 0, 1, 0, 0},
		{"30", 10 * time.Second, 1, 0, 0},
		{"8", 10 * time.Second, 2, 8 * time.Second, 8 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if tt.deadline > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), tt.deadline)
				}
				defer cancel()
				handler := answer(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Retry-After", tt.header)
					w.WriteHeader(http.StatusTooManyRequests)
				})
				r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(handler), Retry: Retry{Attempts: 3, Delay: time.Second}})
				begin := time.Now()
				_, err := r.Manifest(ctx, mustParse(t, "localhost:1/a:v1"))
				var failed *RegistryError
				if !errors.As(err, &failed) || failed.Attempts != tt.attempts || failed.Status != http.StatusTooManyRequests {
					t.Errorf("got %+v, want %d attempts", failed, tt.attempts)
				}
				if took := time.Since(begin); took < tt.min || took > tt.max {
					t.Errorf("took %s, want %s to %s", took, tt.min, tt.max)
				}
				if tt.header == "3600" && !strings.Contains(err.Error(), "it asks to wait 1h0m0s") {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// TestHugeTagList: fifty thousand tags in pages of a hundred.
func TestHugeTagList(t *testing.T) {
	t.Parallel()
	const count = 50_000
	registry, err := testregistry.New(testregistry.Options{PageSize: 100, AcceptIncomplete: true})
	if err != nil {
		t.Fatal(err)
	}
	r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(registry)})
	m := newIndex(t) // small: it is parsed each time
	ref := mustParse(t, "localhost:1/a:v1")
	for i := range count { // without a client, which is not what this is about
		req := httptest.NewRequest(http.MethodPut, fmt.Sprintf("/v2/a/manifests/v%05d", i), bytes.NewReader(m.Bytes))
		req.Header.Set("Content-Type", m.Descriptor.MediaType)
		answer := httptest.NewRecorder()
		if registry.ServeHTTP(answer, req); answer.Code != http.StatusCreated {
			t.Fatal(answer.Code, answer.Body)
		}
	}
	all := func(string) bool { return true }
	tags, more, err := r.Tags(t.Context(), ref, count, all)
	if err != nil || len(tags) != count || more || tags[count-1] != "v49999" {
		t.Errorf("got %d tags, more: %t, %v", len(tags), more, err)
	}
	tags, more, err = r.Tags(t.Context(), ref, 1000, all)
	if err != nil || len(tags) != 1000 || !more {
		t.Errorf("got %d tags, more: %t, %v", len(tags), more, err)
	}
}

// TestEndlessTagList: "there is more" is not believed for ever.
func TestEndlessTagList(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		page func(w http.ResponseWriter, n int)
		most int
		text string // of the error; "" when it says that there is more
	}{
		"a loop": {func(w http.ResponseWriter, _ int) {
			w.Header().Set("Link", `</v2/a/tags/list?n=1>; rel="next"`)
			fmt.Fprint(w, `{"tags":["v1"]}`)
		}, 2, "came before"},
		"one more tag each time": {func(w http.ResponseWriter, n int) {
			w.Header().Set("Link", fmt.Sprintf(`</v2/a/tags/list?last=%d>; rel="next"`, n))
			fmt.Fprintf(w, `{"tags":["v%d"]}`, n)
		}, maxTagPages + 1, ""},
		"nothing each time": {func(w http.ResponseWriter, n int) {
			w.Header().Set("Link", fmt.Sprintf(`</v2/a/tags/list?last=%d>; rel="next"`, n))
			fmt.Fprint(w, `{"tags":[]}`)
		}, maxTagPages + 1, ""},
		"full pages": {func(w http.ResponseWriter, n int) {
			w.Header().Set("Link", fmt.Sprintf(`</v2/a/tags/list?last=%d>; rel="next"`, n))
			var names []string
			for i := range 50_000 {
				names = append(names, fmt.Sprintf("%q", fmt.Sprintf("v%d-%d", n, i)))
			}
			fmt.Fprintf(w, `{"tags":[%s]}`, strings.Join(names, ","))
		}, maxTagsRead/50_000 + 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(answer(func(w http.ResponseWriter, _ *http.Request) {
				n++
				row.page(w, n)
			}))})
			_, more, err := r.Tags(t.Context(), mustParse(t, "localhost:1/a:v1"), 10, func(string) bool { return false })
			if row.text != "" && (err == nil || !strings.Contains(err.Error(), row.text)) || row.text == "" && (err != nil || !more) || n > row.most {
				t.Errorf("%d pages, more: %t, %v; want at most %d", n, more, err, row.most)
			}
		})
	}
}

// TestDigestOnlyRepository: one without a single tag.
func TestDigestOnlyRepository(t *testing.T) {
	t.Parallel()
	ref, _ := withRegistry(t, testregistry.Options{})
	r := testClient(t, RegistryOptions{})
	im := newImage(t, "digest", nil)
	at := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	im.put(t, r, at)
	im.check(t, r, at)
	sig := referrerOf(t, im.manifest, "signature")
	sig.put(t, r, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
	s := newStore(t)
	if _, err := Copy(t.Context(), s, at, r, at, CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	im.check(t, s, at)
	if list, err := s.Referrers(t.Context(), at); err != nil || len(list) != 1 {
		t.Errorf("got referrers %v, %v", list, err)
	}
	tags, more, err := r.Tags(t.Context(), ref, 10, func(string) bool { return true })
	if err != nil || len(tags) != 0 || more {
		t.Errorf("got tags %v, more: %t, %v", tags, more, err)
	}
	if _, err := r.Manifest(t.Context(), ref); !errors.Is(err, ErrNotFound) {
		t.Errorf("a tag: got %v, want ErrNotFound", err)
	}
}
