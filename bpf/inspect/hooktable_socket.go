// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// OptionEvent says which event of a sockmap a program of type sk_skb is for.
const OptionEvent = "event"

// socketHooks are those on sockets. Since of sk_reuseport is that of
// pidfd_getfd(2), by which the socket is reached; the program type is older.
func socketHooks() []HookInfo {
	return []HookInfo{
		{
			Name: "socket", Programs: []string{"socket_filter"}, Delivered: true, Target: targetInterface,
			Sections: []string{"socket"},
			Options: []OptionInfo{
				{
					Name: "promisc", Values: []string{"on", "off"}, Default: "off",
					Help: "whether the interface also takes packets for other stations meanwhile; off when not given",
				},
				netnsOption(),
			},
		},
		{
			Name: "sk_reuseport", Since: "5.6", Programs: []string{"sk_reuseport"}, Delivered: true,
			Target: "socket of a process, pid:NUMBER/fd:NUMBER", Sections: []string{"sk_reuseport"},
		},
		{
			Name: "sk_lookup", Since: "5.9", Programs: []string{"sk_lookup"}, Delivered: true,
			Sections: []string{"sk_lookup"}, Options: []OptionInfo{netnsOption()},
		},
		{
			Name: "sk_skb", Programs: []string{"sk_skb"}, Delivered: true, Target: targetMap, Sections: []string{"sk_skb"},
			Options: []OptionInfo{{
				Name: OptionEvent, Values: []string{"stream_parser", "stream_verdict", "verdict"},
				Help: "required unless the section says it",
			}},
		},
		{Name: "sk_msg", Programs: []string{"sk_msg"}, Delivered: true, Target: targetMap, Sections: []string{"sk_msg"}},
	}
}
