// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

// PolicyVersion is the version of the [Policy] this package reads.
const PolicyVersion = 1

// Policy is the content of policy.yaml: whom a node trusts for which
// repositories. No matching rule means no. Unknown keys are an error.
type Policy struct {
	// Version is [PolicyVersion]; required.
	Version int `yaml:"version" json:"version"`
	// Rules; the most specific match decides, two equally specific ones are an
	// error.
	Rules []PolicyRule `yaml:"rules" json:"rules"`
}

// PolicyRule trusts signers for the repositories it matches.
type PolicyRule struct {
	// Repository is "registry/path" (exact), or "registry/path/*" (every
	// repository below that path, at a slash boundary).
	Repository string `yaml:"repository" json:"repository"`
	// Keys are public key files (PEM), relative to the policy file. A valid
	// signature by any one of them is enough. At least one is required.
	Keys []string `yaml:"keys" json:"keys"`
}
