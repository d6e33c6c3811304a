// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/bpfimg/bpfimg/schemas"
)

// entry is one item of the settings' list, checked.
type entry struct {
	// number of the entry in the file, from 1.
	number   int
	prefix   pattern
	location *site // nil: the reference as it is
	blocked  bool
	conn     *connection
	mirrors  []mirror
}

type mirror struct {
	location    site
	digestsOnly bool
	conn        *connection
}

// add checks one entry and keeps it.
func (h *Hosts) add(number int, r schemas.RegistrySettings) error {
	prefix, err := parsePattern(r.Prefix)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(h.entries, func(e entry) bool { return e.prefix == prefix }); i >= 0 {
		return fmt.Errorf("entry %d has the same prefix", h.entries[i].number)
	}
	if r.Blocked && (r.Location != "" || len(r.Mirrors) > 0 || r.ConnectionSettings != schemas.ConnectionSettings{}) {
		return errors.New("blocked stands alone: nothing is asked, so there is nothing to say about how")
	}
	e := entry{number: number, prefix: prefix, blocked: r.Blocked}
	if e.conn, err = h.connection(r.ConnectionSettings); err != nil {
		return err
	}
	if r.Location != "" {
		location, err := parseSite(r.Location)
		if err != nil {
			return fmt.Errorf("location: %w", err)
		}
		e.location = &location
	}
	if len(r.Mirrors) > maxMirrors {
		return fmt.Errorf("%d mirrors are over the limit of %d", len(r.Mirrors), maxMirrors)
	}
	for i, m := range r.Mirrors {
		added, err := h.mirror(m)
		if err != nil {
			return fmt.Errorf("mirror %d: %w", i+1, err)
		}
		e.mirrors = append(e.mirrors, added)
	}
	h.entries = append(h.entries, e)
	return nil
}

func (h *Hosts) mirror(m schemas.MirrorSettings) (mirror, error) {
	location, err := parseSite(m.Location)
	if err != nil {
		return mirror{}, fmt.Errorf("location: %w", err)
	}
	conn, err := h.connection(m.ConnectionSettings)
	return mirror{location: location, digestsOnly: m.DigestsOnly, conn: conn}, err
}

// proxySchemes are those [net/http.Transport] can talk to.
var proxySchemes = []string{"http", "https", "socks5", "socks5h"}

// connection checks what can be checked without reading files.
func (h *Hosts) connection(s schemas.ConnectionSettings) (*connection, error) {
	switch {
	case s.CAOnly && s.CA == "":
		return nil, errors.New("ca-only needs ca, the file of certificates to trust")
	case (s.Cert == "") != (s.Key == ""):
		return nil, errors.New("cert and key need each other")
	}
	c := &connection{hosts: h, plainHTTP: s.PlainHTTP, ca: s.CA, caOnly: s.CAOnly, cert: s.Cert, key: s.Key}
	if s.Proxy == nil {
		return c, nil
	}
	c.proxySet = true
	if *s.Proxy == "" {
		return c, nil
	}
	// A proxy's URL may hold a password: it is never repeated in an error.
	u, err := url.Parse(*s.Proxy)
	if err != nil || u.Host == "" || !slices.Contains(proxySchemes, u.Scheme) || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, fmt.Errorf("proxy: want SCHEME://[USER:PASSWORD@]HOST[:PORT] with one of the schemes %q, or \"\" for none", proxySchemes)
	}
	c.proxy = u
	return c, nil
}
