// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/excerpt"
)

// maxLink bounds the address of a page, in bytes.
const maxLink = 8 << 10

// errPageLost: there is another page, and it cannot be read. What is on it must not
// be taken for absent.
var errPageLost = errors.New("the registry's list has another page, which cannot be followed")

// nextPage returns the address of the page after the one at from, by the Link headers
// of that one's answer (OCI distribution spec, "Listing Tags"); nil if it is the last.
//
// Path and query of the link count, and are asked for where the page came from: behind
// a proxy, registries name the host or the scheme that they have themselves
// (distribution/distribution#1936).
func nextPage(from *url.URL, links []string) (*url.URL, error) {
	for _, header := range links {
		all, whole := parseLinks(header)
		for _, l := range all {
			if l.isNext() {
				return ownPage(from, l.target)
			}
		}
		if !whole && strings.Contains(strings.ToLower(header), "next") {
			return nil, pageLost(header)
		}
	}
	return nil, nil
}

// ownPage is the page target names, on the host that from is on.
func ownPage(from *url.URL, target string) (*url.URL, error) {
	to, err := from.Parse(target)
	if err != nil || len(target) > maxLink || to.Opaque != "" || to.Path == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, pageLost(target)
	}
	return &url.URL{Scheme: from.Scheme, Host: from.Host, Path: to.Path, RawPath: to.RawPath, RawQuery: to.RawQuery}, nil
}

func pageLost(link string) error {
	return fmt.Errorf("%w: its link is %q", errPageLost, excerpt.Of(link, maxMessage))
}

// trail is the pages of one list that were read.
type trail map[[sha256.Size]byte]bool

// step notes that the page at u is read next. A list that comes back to a page never
// ends.
func (t trail) step(u *url.URL) error {
	at := sha256.Sum256([]byte(u.RequestURI()))
	if t[at] {
		return fmt.Errorf("%w: its link leads to a page that came before", errPageLost)
	}
	t[at] = true
	return nil
}

// link is one of those in a Link header (RFC 8288, 3).
type link struct{ target, rel string }

// isNext: rel is a list of words, in any case.
func (l link) isNext() bool { return slices.Contains(strings.Fields(strings.ToLower(l.rel)), "next") }

// parseLinks reads a Link header. whole says that all of it was understood. Targets
// without angle brackets, which Cloudflare's registry sends, end before a semicolon.
func parseLinks(s string) (links []link, whole bool) {
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return links, true
		}
		var l link
		var ok bool
		if strings.HasPrefix(s, "<") {
			l.target, s, ok = strings.Cut(s[1:], ">")
		} else {
			end := strings.IndexByte(s, ';')
			if ok = end >= 0; ok {
				l.target, s = strings.TrimSpace(s[:end]), s[end:]
			}
		}
		if !ok {
			return links, false
		}
		if l.rel, s, ok = parseRel(s); !ok {
			return links, false
		}
		links = append(links, l)
	}
}

// parseRel reads the parameters of a link, up to the comma before the next link, and
// returns the first rel.
func parseRel(s string) (rel, rest string, ok bool) {
	found := false
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return rel, s, true
		}
		if s[0] != ';' {
			return rel, s, false
		}
		name, value := "", ""
		end := strings.IndexAny(s[1:]+";", "=;,") + 1
		name, s = strings.TrimSpace(s[1:end]), s[end:]
		if strings.HasPrefix(s, "=") {
			if value, s, ok = parseValue(strings.TrimLeft(s[1:], " \t")); !ok {
				return rel, s, false
			}
		}
		if !found && strings.EqualFold(name, "rel") {
			rel, found = value, true
		}
	}
}

// parseValue reads a token or a quoted string (RFC 9110, 5.6).
func parseValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s+";", ";,")
		return strings.TrimSpace(s[:end]), s[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			i++
			if i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
