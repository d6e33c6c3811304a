// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// socketHooks are those on sockets.
func socketHooks() []HookInfo {
	return []HookInfo{
		{Name: "socket", Programs: []string{"socket_filter"}, Sections: []string{"socket"}, Target: "socket"},
		{Name: "sk_reuseport", Programs: []string{"sk_reuseport"}, Sections: []string{"sk_reuseport"}, Target: "socket"},
		{Name: "sk_lookup", Since: "5.9", Programs: []string{"sk_lookup"}, Sections: []string{"sk_lookup"}, Target: "network namespace"},
		{Name: "sk_skb", Programs: []string{"sk_skb"}, Sections: []string{"sk_skb"}, Target: targetMap},
		{Name: "sk_msg", Programs: []string{"sk_msg"}, Sections: []string{"sk_msg"}, Target: targetMap},
	}
}
