// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package loopback says which hosts are this machine, so that what is sent there
// without TLS can be read by nobody else, and what a stranger points there reaches
// what only this machine should.
//
// Door: [Is].
package loopback

import (
	"net/netip"
	"strings"
)

// Is says whether host, a name or address without port and brackets, is this
// machine whatever the resolver answers: "localhost", 127.0.0.0/8 or ::1, also in
// the form ::ffff:127.0.0.1 and with a zone. Names below .localhost are left out,
// because resolvers disagree about them, and so are the odd spellings that only
// some resolvers take, such as 127.1.
func Is(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
