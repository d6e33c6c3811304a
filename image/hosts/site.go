// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

// site is HOST[:PORT][/PATH].
type site struct{ host, path string }

func (s site) String() string {
	if s.path == "" {
		return s.host
	}
	return s.host + "/" + s.path
}

// pattern is what a reference's beginning is compared with. It is comparable:
// equal patterns match the same references.
type pattern struct {
	// host is in the canonical form; with below, that of the domain.
	host string
	// port "" is https's own, and with below any.
	port string
	path string
	// below: the hosts below the domain, not the domain itself.
	below bool
}

const (
	wildcard = "*."
	// dockerHub and its older name, which references spell as the first.
	dockerHub   = "docker.io"
	dockerIndex = "index.docker.io"
	httpsPort   = "443"
	// maxSite is the longest name of a repository, as for references, in bytes.
	maxSite = 255
)

// The same grammar as that of references: a host or an address in brackets, a
// port, and the path of a repository (OCI distribution spec, "Pulling manifests").
var (
	hostPattern = lazyregexp.New(`^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?$`)
	pathPattern = lazyregexp.New(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// parseSite reads a location.
func parseSite(s string) (site, error) {
	if s == "" {
		return site{}, errors.New("want HOST[:PORT][/PATH], here is nothing")
	}
	if scheme, _, found := strings.Cut(s, "://"); found {
		return site{}, fmt.Errorf("%q: drop %q; https is meant unless plain-http is true", s, scheme+"://")
	}
	host, path, slash := strings.Cut(s, "/")
	m := hostPattern().FindStringSubmatch(host)
	switch {
	case len(s) > maxSite:
		return site{}, fmt.Errorf("longer than %d characters", maxSite)
	case m == nil:
		return site{}, fmt.Errorf("%q: %q is not a HOST[:PORT]", s, host)
	case slash && !pathPattern().MatchString(path):
		return site{}, fmt.Errorf("%q: %q is not the path of a repository: lower-case, without a tag and a slash at the end", s, path)
	}
	if port := m[1]; port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return site{}, fmt.Errorf("%q: the port %s is not between 1 and 65535", s, port)
		}
	}
	return site{host: host, path: path}, nil
}

// parsePattern reads a prefix.
func parsePattern(s string) (pattern, error) {
	if s == "" {
		return pattern{}, errors.New("prefix is missing: want HOST[:PORT][/PATH] or *.DOMAIN")
	}
	rest, below := strings.CutPrefix(s, wildcard)
	if strings.Contains(rest, "*") {
		return pattern{}, errors.New("a * may only stand for whole names at the beginning: *.example.com")
	}
	at, err := parseSite(rest)
	if err != nil {
		return pattern{}, fmt.Errorf("prefix: %w", err)
	}
	host, port := canonical(at.host)
	return pattern{host: host, port: port, path: at.path, below: below}, nil
}

// canonical splits a host and port so that two spellings of one registry are
// equal: names are not case-sensitive, an address can be written in several ways,
// and 443 is the port without one. Otherwise a block could be evaded by another
// spelling.
func canonical(hostport string) (host, port string) {
	host = strings.ToLower(hostport)
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], strings.TrimLeft(host[i+1:], "0")
	}
	if port == httpsPort {
		port = ""
	}
	if host == dockerIndex && port == "" {
		host = dockerHub
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		host = addr.Unmap().String()
	}
	return host, port
}

// match says whether a reference's registry and repository begin with p, and what
// remains of the repository.
func (p pattern) match(registry, repository string) (rest string, ok bool) {
	host, port := canonical(registry)
	if p.below {
		if !strings.HasSuffix(host, "."+p.host) || p.port != "" && p.port != port {
			return "", false
		}
	} else if host != p.host || port != p.port {
		return "", false
	}
	if p.path == "" {
		return repository, true
	}
	rest, ok = strings.CutPrefix(repository, p.path)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	return strings.TrimPrefix(rest, "/"), true
}

// moreThan says that p, which matches too, is more specific than q: it matches
// more of the path, or else a host rather than a domain, or else more of the domain.
func (p pattern) moreThan(q pattern) bool {
	switch {
	case len(p.path) != len(q.path):
		return len(p.path) > len(q.path)
	case p.below != q.below:
		return q.below
	case len(p.host) != len(q.host):
		return len(p.host) > len(q.host)
	}
	return p.port != "" && q.port == ""
}

// join puts what remains of a repository below s.
func (s site) join(rest string) (registry, repository string) {
	switch {
	case s.path == "":
		return s.host, rest
	case rest == "":
		return s.host, s.path
	}
	return s.host, s.path + "/" + rest
}
