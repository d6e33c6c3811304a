// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// otherHooks are those of no family.
func otherHooks() []HookInfo {
	return []HookInfo{
		{Name: "freplace", Since: "5.6", Programs: []string{"ext"}, Sections: []string{"freplace/FUNCTION"}, Target: "function of a loaded program"},
		{Name: "struct_ops", Since: "5.6", Programs: []string{"struct_ops"}, Sections: []string{"struct_ops", "struct_ops.s"}, Target: "struct_ops map"},
		{Name: "syscall", Since: "5.14", Programs: []string{"syscall"}, Sections: []string{"syscall"}},
	}
}
