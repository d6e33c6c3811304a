// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

// predicateTypes are the short names of `cosign attest --type`
// (sigstore/cosign, cmd/cosign/cli/options/predicate.go).
var predicateTypes = [...]struct{ name, uri string }{
	{"slsaprovenance1", "https://slsa.dev/provenance/v1"},
	{"slsaprovenance", "https://slsa.dev/provenance/v0.2"},
	{"slsaprovenance02", "https://slsa.dev/provenance/v0.2"},
	{"spdx", "https://spdx.dev/Document"},
	{"spdxjson", "https://spdx.dev/Document"},
	{"cyclonedx", "https://cyclonedx.org/bom"},
	{"link", "https://in-toto.io/Link/v1"},
	{"vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"},
	{"openvex", "https://openvex.dev/ns"},
	{"custom", "https://cosign.sigstore.dev/attestation/v1"},
}

// PredicateTypes lists the short names of predicate types, those that one meets
// most first.
func PredicateTypes() []string {
	names := make([]string, 0, len(predicateTypes))
	for _, t := range predicateTypes {
		names = append(names, t.name)
	}
	return names
}

// PredicateTypeURI returns what a short name stands for, "" for none of them.
func PredicateTypeURI(name string) string {
	for _, t := range predicateTypes {
		if t.name == name {
			return t.uri
		}
	}
	return ""
}
