// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// Bounds on what a header may make of us; honest registries send one or two
// challenges of three parameters.
const (
	maxChallenges      = 8
	maxChallengeParams = 16
)

// challenge is one way that a server offers to say who we are (RFC 9110, 11.6.1).
type challenge struct {
	// scheme and the keys of params are in lower case.
	scheme string
	params map[string]string
}

// parseChallenges reads WWW-Authenticate headers, each of which may hold several
// challenges. What cannot be understood ends a header.
func parseChallenges(headers []string) []challenge {
	var all []challenge
	for _, s := range headers {
		first := len(all)
		for len(all) <= maxChallenges {
			s = strings.TrimLeft(s, " \t,")
			word, rest := cutToken(s)
			if word == "" {
				break
			}
			rest = strings.TrimLeft(rest, " \t")
			value, isParam := strings.CutPrefix(rest, "=")
			if !isParam {
				all = append(all, challenge{strings.ToLower(word), map[string]string{}})
				s = skipToken68(rest)
				continue
			}
			if len(all) == first {
				break // a parameter of nothing
			}
			text, after, ok := cutValue(strings.TrimLeft(value, " \t"))
			if !ok {
				break
			}
			s = after
			params, key := all[len(all)-1].params, strings.ToLower(word)
			if _, twice := params[key]; !twice && len(params) < maxChallengeParams {
				params[key] = text
			}
		}
	}
	return all[:min(len(all), maxChallenges)]
}

// cutToken splits off a token (RFC 9110, 5.6.2).
func cutToken(s string) (token, rest string) {
	end := strings.IndexFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}

// cutValue splits off a token or a quoted string.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		// Some servers leave the quotes out, even of addresses.
		end := strings.IndexAny(s, ", \t\"")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], true
	}
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return text.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		text.WriteByte(s[i])
	}
	return "", "", false
}

// skipToken68 leaves out what some schemes have instead of parameters, such as
// Negotiate: characters with "=" at their end.
func skipToken68(s string) string {
	word, rest := cutToken(s)
	for strings.HasPrefix(rest, "/") { // not of a token
		var more string
		more, rest = cutToken(rest[1:])
		word += "/" + more
	}
	after := strings.TrimLeft(rest, "=")
	if word != "" && (after == "" || strings.HasPrefix(strings.TrimLeft(after, " \t"), ",")) {
		return after
	}
	return s
}

// challenges are what a server offers.
type challenges []challenge

// bearer is the first that leads to a token server.
func (c challenges) bearer() (challenge, bool) {
	for _, one := range c {
		if one.scheme == "bearer" && one.params["realm"] != "" {
			return one, true
		}
	}
	return challenge{}, false
}

// password says whether a user name and a password are taken as they are.
func (c challenges) password() bool {
	for _, one := range c {
		if one.scheme == "basic" {
			return true
		}
	}
	return false
}

// pingWatch notes what a registry offers to who pings it, and over which protocol.
// The library that pings looks at the first challenge alone.
type pingWatch struct {
	inner http.RoundTripper

	mu      sync.Mutex
	offered map[string]challenges // by the scheme of the address that answered
}

// RoundTrip implements [http.RoundTripper].
func (w *pingWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.inner.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.offered == nil {
		w.offered = map[string]challenges{}
	}
	w.offered[req.URL.Scheme] = parseChallenges(resp.Header.Values("WWW-Authenticate"))
	return resp, err
}

func (w *pingWatch) of(scheme string) challenges {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.offered[scheme]
}

// challengeWatch notes whether anybody asks for credentials.
type challengeWatch struct {
	inner http.RoundTripper
	seen  atomic.Bool
}

// RoundTrip implements [http.RoundTripper].
func (w *challengeWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.inner.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		w.seen.Store(true)
	}
	return resp, err
}
