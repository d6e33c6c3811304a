// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/bpfimg/bpfimg/internal/loopback"
)

// maxRedirects is enough for a registry, a storage front and a storage back.
const maxRedirects = 5

// hostname is host[:port] without the port and without brackets.
func hostname(host string) string {
	u := url.URL{Host: host}
	return u.Hostname()
}

// isInternal says whether host (no port) is literally an address that only has
// a meaning on this machine or network. DNS names are not, wherever they point.
func isInternal(host string) bool {
	if loopback.Is(host) || isLinkLocal(host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return oddNumber(host)
	}
	return addr.Unmap().IsPrivate()
}

func isLinkLocal(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	return addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() || addr.IsUnspecified()
}

// oddNumber recognises the other spellings of an IPv4 address that resolvers
// take ("2130706433", "0x7f.1"): no DNS name has a number as its last label.
func oddNumber(host string) bool {
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	return last != "" && last[0] >= '0' && last[0] <= '9' && strings.Trim(last, "0123456789abcdefx") == ""
}

// checkRedirect is the [http.Client] policy: a registry may send us to its
// storage, but not into the network we are in, and not out of encryption.
// Credentials are added per host below this, and never to another one.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	from, to := via[0].URL, req.URL
	if from.Scheme == "https" && to.Scheme != "https" {
		return errors.New("refusing a redirect from https to " + to.Scheme)
	}
	return checkInside(from.Hostname(), to.Hostname())
}

// checkInside refuses that one host (without port) sends us into the network we
// are in, to another that it may not be able to reach itself.
func checkInside(from, to string) error {
	if from != to && (isLinkLocal(to) || isInternal(to) && !isInternal(from)) {
		return fmt.Errorf("refusing a redirect to the internal address %q", to)
	}
	return nil
}
