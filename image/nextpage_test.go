// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestNextPage(t *testing.T) {
	t.Parallel()
	const from, lost = "https://reg.example:8443/v2/a/tags/list?n=2", "lost"
	next := func(path string) string { return "https://reg.example:8443" + path }
	tests := []struct {
		links []string
		want  string // "" for the end, lost for an error
	}{
		{nil, ""},
		{[]string{`</v2/a/tags/list?last=b&n=2>; rel="next"`}, next("/v2/a/tags/list?last=b&n=2")},
		{[]string{`<?last=b>; rel=next`}, next("/v2/a/tags/list?last=b")},
		{[]string{`<http://registry.internal:5000/v2/a/tags/list?last=b>; rel="next"`}, next("/v2/a/tags/list?last=b")},
		{[]string{`<https://reg.example/v2/a/tags/list?last=b>; rel="next"`}, next("/v2/a/tags/list?last=b")},
		{[]string{`<//user:pw@thief.example/v2/x%2Fy?z#f>; rel=next`}, next("/v2/x%2Fy?z")},
		{[]string{`https://reg.example/v2/a/tags/list?n=1000&last=; rel=next`}, next("/v2/a/tags/list?n=1000&last=")},
		{[]string{`<x,y;z>; rel="next"`}, next("/v2/a/tags/x,y;z")},
		{[]string{`</p>; rel="prev", </n>; rel="next"`}, next("/n")},
		{[]string{`</p>; rel="prev"`, `</n>; REL = "Last NEXT"`}, next("/n")},
		{[]string{`</n>;title="a, \"b\"; rel=prev" ; rel=next;type=x`}, next("/n")},
		{[]string{`</p>; rel=prev; rel=next`}, ""}, // the first counts (RFC 8288, 3.3)
		{[]string{`</p>; rel="nextcloud", </q>; rev=next, </r>`}, ""},
		{[]string{`,, </n>; rel=next`}, next("/n")},
		{[]string{`<<<`}, ""},
		{[]string{`</n; rel="next"`}, lost},
		{[]string{`</n> rel="next"`}, lost},
		{[]string{`</n>; rel="next`}, lost},
		{[]string{`</n>; rel="next\`}, lost},
		{[]string{`<:>; rel=next`}, lost},
		{[]string{`<mailto:next@reg.example>; rel=next`}, lost},
		{[]string{`<ftp://reg.example/n>; rel=next`}, lost},
		{[]string{`<https://reg.example>; rel=next`}, lost},
		{[]string{`</n?` + strings.Repeat("x", maxLink) + `>; rel=next`}, lost},
	}
	for _, tt := range tests {
		got, err := nextPage(mustURL(t, from), tt.links)
		if (tt.want == lost) != errors.Is(err, errPageLost) || (tt.want == lost || tt.want == "") != (got == nil) || got != nil && got.String() != tt.want {
			t.Errorf("%.80q: got %v, %v, want %q", tt.links, got, err, tt.want)
		}
	}
}

func FuzzNextPage(f *testing.F) {
	for _, seed := range []string{
		`</v2/a/referrers/x?n=1>; rel="next"`, `<//thief/>; rel=next`, `<:>; rel=next`,
		`https://thief/?n=1000&last=; rel=next`, `</a>; rel="\"", </b>;rel=next`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		from := mustURL(t, "https://ghcr.io/v2/a/referrers/x")
		to, err := nextPage(from, []string{header})
		if to != nil && (err != nil || to.Host != from.Host || to.Scheme != from.Scheme || to.User != nil) {
			t.Fatalf("%q leads to %s, %v", header, to, err)
		}
		if to != nil {
			if again, err := url.Parse(to.String()); err != nil || again.Host != from.Host {
				t.Fatalf("%q leads to %q, which is read as %v, %v", header, to, again, err)
			}
		}
		if links, whole := parseLinks(header); whole && to == nil && err == nil && slices.ContainsFunc(links, link.isNext) {
			t.Fatalf("%q has a next page, which is lost", header)
		}
	})
}
