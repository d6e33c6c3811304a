// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"net/netip"
	"strings"
)

// isNetworkOrder says whether a typedef marks big-endian numbers
// (linux/types.h).
func isNetworkOrder(typedef string) bool {
	switch typedef {
	case "__be16", "__be32", "__be64":
		return true
	}
	return false
}

// namesAddress is the rule of the package comment on names of IPv4 addresses.
func namesAddress(name string) bool {
	for word := range strings.SplitSeq(strings.ToLower(name), "_") {
		switch word {
		case "ip", "ip4", "ipv4", "addr", "saddr", "daddr", "sip", "dip", "srcip", "dstip":
			return true
		}
	}
	return false
}

// address writes the kernel's own address structs.
func address(structName string, data []byte) (string, bool) {
	if size := map[string]int{"in_addr": 4, "in6_addr": 16}[structName]; size == 0 || size != len(data) {
		return "", false
	}
	ip, ok := netip.AddrFromSlice(data)
	return ip.String(), ok
}
