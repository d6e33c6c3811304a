// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import _ "embed"

//go:embed default-policy.yaml
var defaultPolicy string

// DefaultPolicy is the policy bpfimg comes with. It trusts nobody and says, in
// comments, how to trust somebody.
func DefaultPolicy() string { return defaultPolicy }
