// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"path"
	"strings"
)

// maxName bounds an instance name, as DNS labels are bounded.
const maxName = 63

// InstanceName is the name of an instance: asked as it is, or when that is empty
// the last element of the repository with its dots turned into dashes, since
// bpffs allows no dots. A name is 1 to 63 lower-case letters, digits, "_" and
// "-", and starts with a letter or digit; anything else is an [ErrUsage].
func InstanceName(asked, repository string) (string, error) {
	name := asked
	if name == "" {
		name = strings.ReplaceAll(path.Base(repository), ".", "-")
	}
	if !validName(name) {
		return "", fmt.Errorf("%w: %q cannot be the name of an instance: 1 to %d lower-case letters, digits, _ and -, starting with a letter or digit; give one with --name",
			ErrUsage, name, maxName)
	}
	return name, nil
}

func validName(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '-' || name[0] == '_' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
