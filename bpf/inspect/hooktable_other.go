// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// otherHooks are those of no family.
func otherHooks() []HookInfo {
	return []HookInfo{
		{
			Name: "freplace", Since: "5.6", Programs: []string{"ext"}, Delivered: true,
			Sections: []string{"freplace/FUNCTION"}, Target: "global function of a loaded program",
			Options: []OptionInfo{{Name: "program", Help: "required, the program: INSTANCE/PROGRAM, id:NUMBER, or the path of its pin"}},
		},
		{
			// Without links, since Linux 5.6, these could not be taken back safely.
			Name: "struct_ops", Since: "6.4", Programs: []string{"struct_ops"}, Delivered: true,
			Sections: []string{"struct_ops", "struct_ops.s"}, Target: "none; --attach names the map, not a program",
		},
		{
			Name: "syscall", Since: "5.14", Programs: []string{"syscall"}, Delivered: true,
			Sections: []string{"syscall"}, Target: "none; runs once",
			Options: []OptionInfo{{Name: "ctx-size", Help: "bytes of the context it gets, all 0; when not given, it gets none"}},
		},
	}
}
