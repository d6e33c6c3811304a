// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import "time"

// PolicyVersion is the version of the [Policy] this package reads.
const PolicyVersion = 1

// Policy is the content of policy.yaml: whom a node trusts for which
// repositories, and for what. No matching rule means no. Unknown keys are an
// error.
type Policy struct {
	// Version is [PolicyVersion]; required.
	Version int `yaml:"version" json:"version"`
	// TrustedRoot is a Sigstore trusted root file (trusted_root.json), relative
	// to the policy file. Rules may name their own.
	TrustedRoot string `yaml:"trustedRoot" json:"trustedRoot,omitempty"`
	// Deny is refused always, whatever a rule says.
	Deny *PolicyDeny `yaml:"deny" json:"deny,omitempty"`
	// Rules; the most specific match decides, two equally specific ones are an
	// error.
	Rules []PolicyRule `yaml:"rules" json:"rules"`
}

// PolicyDeny lists what was revoked.
type PolicyDeny struct {
	// Digests, "sha256:<hex>" or "sha512:<hex>", of an index, an image manifest or an object.
	Digests []string `yaml:"digests" json:"digests,omitempty"`
	// Keys are public key files (PEM), relative to the policy file. Signatures by
	// them count for nothing.
	Keys []string `yaml:"keys" json:"keys,omitempty"`
}

// PolicyRule trusts signers for the repositories it matches. At least one key
// or identity is required.
type PolicyRule struct {
	// Repository is "registry/path" (exact), or "registry/path/*" (every
	// repository below that path, at a slash boundary).
	Repository string `yaml:"repository" json:"repository"`
	// TrustedRoot for this rule, instead of [Policy].TrustedRoot.
	TrustedRoot string `yaml:"trustedRoot" json:"trustedRoot,omitempty"`
	// Keys and Identities are the signers.
	Keys       []PolicyKey      `yaml:"keys" json:"keys,omitempty"`
	Identities []PolicyIdentity `yaml:"identities" json:"identities,omitempty"`
	// Threshold is how many distinct signers of this rule must have signed;
	// default 1.
	Threshold int `yaml:"threshold" json:"threshold,omitempty"`
	// TransparencyLog and Timestamp are [Required] or [Optional]. The default is
	// required for identities and optional for keys (log), and optional (time).
	TransparencyLog string `yaml:"transparencyLog" json:"transparencyLog,omitempty"`
	Timestamp       string `yaml:"timestamp" json:"timestamp,omitempty"`
	// Attestations must all be there.
	Attestations []PolicyAttestation `yaml:"attestations" json:"attestations,omitempty"`
	// MinimumVersion is the lowest version (semantic versioning) of an image.
	MinimumVersion string `yaml:"minimumVersion" json:"minimumVersion,omitempty"`
	// Allow and Forbid limit what the bytecode may do; absent: no limit.
	Allow  *PolicyAllow  `yaml:"allow" json:"allow,omitempty"`
	Forbid *PolicyForbid `yaml:"forbid" json:"forbid,omitempty"`
}

// Values of [PolicyRule].TransparencyLog and Timestamp.
const (
	Required = "required"
	Optional = "optional"
)

// PolicyKey is a public key and when it may sign. In a document without dates it
// may be just the file's name.
type PolicyKey struct {
	// File is a public key file (PEM), relative to the policy file.
	File string `yaml:"file" json:"file"`
	// NotBefore and NotAfter bound when a signature was made, as a timestamp or a
	// log proves, or without one when it is checked. Nil: no bound.
	NotBefore *time.Time `yaml:"notBefore" json:"notBefore,omitempty"`
	NotAfter  *time.Time `yaml:"notAfter" json:"notAfter,omitempty"`
}

// PolicyIdentity is who a certificate authority of the trusted root says signed.
// All that is given must hold.
type PolicyIdentity struct {
	// Issuer is the OpenID Connect issuer, exactly; required.
	Issuer string `yaml:"issuer" json:"issuer"`
	// Subject is the subject alternative name of the certificate, exactly;
	// SubjectPattern a regular expression (RE2) for it between ^ and $. One of
	// the two is required.
	Subject        string `yaml:"subject" json:"subject,omitempty"`
	SubjectPattern string `yaml:"subjectPattern" json:"subjectPattern,omitempty"`
	// SourceRepository, SourceRef and Workflow are what the CI system says it
	// built, exactly: the certificate extensions Source Repository URI, Source
	// Repository Ref and Build Config URI (sigstore/fulcio, docs/oid-info.md).
	SourceRepository string `yaml:"sourceRepository" json:"sourceRepository,omitempty"`
	SourceRef        string `yaml:"sourceRef" json:"sourceRef,omitempty"`
	Workflow         string `yaml:"workflow" json:"workflow,omitempty"`
}

// PolicyAttestation is a statement about the image that must be there, signed.
type PolicyAttestation struct {
	// Type is one of [PredicateTypes] or the URI of a predicate type.
	Type string `yaml:"type" json:"type"`
	// Condition is a CEL expression over predicate, subject and image; default:
	// true.
	Condition string `yaml:"condition" json:"condition,omitempty"`
	// Keys and Identities may sign it; without any, those of the rule.
	Keys       []PolicyKey      `yaml:"keys" json:"keys,omitempty"`
	Identities []PolicyIdentity `yaml:"identities" json:"identities,omitempty"`
}

// PolicyAllow limits what the programs of an image may be. What is absent is not
// limited.
type PolicyAllow struct {
	// Types of programs, as a Description spells them.
	Types []string `yaml:"types" json:"types,omitempty"`
	// Hooks are "HOOK" or "HOOK:TARGET" as --attach spells them; "*" in a target
	// stands for anything.
	Hooks []string `yaml:"hooks" json:"hooks,omitempty"`
	// Sleepable false refuses programs that may sleep.
	Sleepable *bool `yaml:"sleepable" json:"sleepable,omitempty"`
	// MapMemory bounds the memory of all maps together, in bytes or with a
	// suffix (Ki, Mi, Gi).
	MapMemory string `yaml:"mapMemory" json:"mapMemory,omitempty"`
	// Licenses "gpl": every program's license must be GPL-compatible.
	Licenses string `yaml:"licenses" json:"licenses,omitempty"`
}

// PolicyForbid names what no program of an image may call; "*" in a name stands
// for anything.
type PolicyForbid struct {
	Helpers []string `yaml:"helpers" json:"helpers,omitempty"`
	Kfuncs  []string `yaml:"kfuncs" json:"kfuncs,omitempty"`
}
