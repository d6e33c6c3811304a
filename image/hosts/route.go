// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"errors"
	"fmt"
)

// ErrBlocked: the settings refuse these references.
var ErrBlocked = errors.New("blocked by the settings")

// Place is one repository on one host, and how to talk to the host. Places are
// comparable: equal ones can share connections and logins.
type Place struct {
	// Registry is the host[:port] to connect to, Repository the path there.
	Registry, Repository string
	conn                 *connection
}

// Name is registry and repository.
func (p Place) Name() string { return p.Registry + "/" + p.Repository }

// PlainHTTP says that the settings allow http to the host.
func (p Place) PlainHTTP() bool { return p.conn.plainHTTP }

// Host is the place without its repository: equal ones can share connections.
func (p Place) Host() Place {
	p.Repository = ""
	return p
}

// Mirror is a place to read from.
type Mirror struct {
	Place
	// DigestsOnly: ask it for content by digest alone.
	DigestsOnly bool
}

// Route says where a repository is.
type Route struct {
	// Mirrors to read from first, in this order.
	Mirrors []Mirror
	// Origin is the registry itself, to write to and to read from last.
	Origin Place
}

// Route finds where repository of registry is read and written, by the most
// specific entry. A repository that the settings refuse is [ErrBlocked].
func (h *Hosts) Route(registry, repository string) (Route, error) {
	e, rest := h.find(registry, repository)
	if e == nil {
		return Route{Origin: Place{Registry: registry, Repository: repository, conn: h.direct}}, nil
	}
	if e.blocked {
		return Route{}, fmt.Errorf("%s/%s: %w: %s, entry %d", registry, repository, ErrBlocked, h.name, e.number)
	}
	route := Route{Origin: Place{Registry: registry, Repository: repository, conn: e.conn}}
	if e.location != nil {
		route.Origin.Registry, route.Origin.Repository = e.location.join(rest)
	}
	if route.Origin.Repository == "" && repository != "" {
		return Route{}, h.noRepository(e, "location", *e.location, registry, repository)
	}
	for _, m := range e.mirrors {
		at := Place{conn: m.conn}
		if at.Registry, at.Repository = m.location.join(rest); at.Repository == "" && repository != "" {
			return Route{}, h.noRepository(e, "mirror", m.location, registry, repository)
		}
		route.Mirrors = append(route.Mirrors, Mirror{Place: at, DigestsOnly: m.digestsOnly})
	}
	return route, nil
}

func (h *Hosts) noRepository(e *entry, what string, at site, registry, repository string) error {
	return fmt.Errorf("%w: %s: entry %d: nothing remains of %s/%s below %s %s: give it a path",
		ErrSettings, h.name, e.number, registry, repository, what, at)
}

// find returns the most specific entry that matches, and what remains of the
// repository after it.
func (h *Hosts) find(registry, repository string) (best *entry, rest string) {
	for i := range h.entries {
		e := &h.entries[i]
		r, ok := e.prefix.match(registry, repository)
		if ok && (best == nil || e.prefix.moreThan(best.prefix)) {
			best, rest = e, r
		}
	}
	return best, rest
}

// Login is how to talk to registry itself, without a rewrite, in order to try
// credentials: as the entry about the host says, or else the first entry with a
// location or mirror there. [ErrBlocked] if the entry refuses the host.
func (h *Hosts) Login(registry string) (Place, error) {
	at := Place{Registry: registry}
	if e, _ := h.find(registry, ""); e != nil && (e.blocked || e.location == nil) {
		if e.blocked {
			return at, fmt.Errorf("%s: %w: %s, entry %d", registry, ErrBlocked, h.name, e.number)
		}
		at.conn = e.conn
		return at, nil
	}
	at.conn = h.elsewhere(registry)
	return at, nil
}

// elsewhere is the connection of the first location or mirror on registry.
func (h *Hosts) elsewhere(registry string) *connection {
	host, port := canonical(registry)
	same := func(s site) bool {
		otherHost, otherPort := canonical(s.host)
		return host == otherHost && port == otherPort
	}
	for _, e := range h.entries {
		if e.location != nil && same(*e.location) {
			return e.conn
		}
		for _, m := range e.mirrors {
			if same(m.location) {
				return m.conn
			}
		}
	}
	return h.direct
}
