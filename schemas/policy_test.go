// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

// TestPolicies: the schema accepts the policies that a node accepts.
func TestPolicies(t *testing.T) {
	pair, err := sign.GenerateKeyPair(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"a.pub", "b.pub", "net-team.pub", "net-team-old.pub", "platform.pub", "platform-next.pub", "stolen.pub"} {
		write(name, pair.PublicPEM)
	}
	write("trusted_root.json", trustedRoot(t))
	schema := compile(t, "policy")
	for _, test := range []struct {
		name, policy string
		want         bool
	}{
		{"the one in docs/trust.md", documented(t, "trust"), true},
		{"the one in docs/policy.md", documented(t, "policy"), true},
		{"nobody", "version: 1\nrules: []\n", true},
		{"several", "version: 1\nrules:\n- {repository: reg.io/a/*, keys: [a.pub, b.pub]}\n- {repository: reg.io/b, keys: [b.pub]}\n", true},
		{"JSON", `{"version": 1, "rules": [{"repository": "reg.io/a", "keys": ["a.pub"]}]}`, true},
		{"newer", "version: 2\nrules: []\n", false},
		{"no version", "rules: []\n", false},
		{"unknown key", "version: 1\nrules: []\nrule: []\n", false},
		{"unknown key of a rule", "version: 1\nrules: [{repository: reg.io/a, keyz: [a.pub]}]\n", false},
		{"no keys", "version: 1\nrules: [{repository: reg.io/a, keys: []}]\n", false},
		{"too many keys", "version: 1\nrules: [{repository: reg.io/a, keys: [" + strings.Repeat("a.pub,", 65) + "]}]\n", false},
		{"too many rules", "version: 1\nrules: [" + strings.Repeat("{},", 4097) + "]\n", false},
		{"no repository", "version: 1\nrules: [{keys: [a.pub]}]\n", false},
		{"key with dates", "version: 1\nrules: [{repository: reg.io/a, keys: [{file: a.pub, notBefore: 2026-01-01T00:00:00Z, notAfter: '2027-01-01T00:00:00Z'}]}]\n", true},
		{"key with a date of no calendar", "version: 1\nrules: [{repository: reg.io/a, keys: [{file: a.pub, notAfter: soon}]}]\n", false},
		{"key with another date", "version: 1\nrules: [{repository: reg.io/a, keys: [{file: a.pub, notafter: 2027-01-01T00:00:00Z}]}]\n", false},
		{"key without a file", "version: 1\nrules: [{repository: reg.io/a, keys: [{notAfter: 2027-01-01T00:00:00Z}]}]\n", false},
		{"threshold", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub, b.pub], threshold: 1}]\n", true},
		{"threshold below one", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], threshold: -1}]\n", false},
		{"log perhaps", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], transparencyLog: perhaps}]\n", false},
		{"identity", "version: 1\ntrustedRoot: trusted_root.json\nrules: [{repository: reg.io/a, identities: [{issuer: i, subject: s}]}]\n", true},
		{"identity by pattern", "version: 1\ntrustedRoot: trusted_root.json\nrules: [{repository: reg.io/a, identities: [{issuer: i, subjectPattern: '^s$'}]}]\n", true},
		{"identity by an open pattern", "version: 1\ntrustedRoot: trusted_root.json\nrules: [{repository: reg.io/a, identities: [{issuer: i, subjectPattern: '^s'}]}]\n", false},
		{"identity twice", "version: 1\ntrustedRoot: trusted_root.json\nrules: [{repository: reg.io/a, identities: [{issuer: i, subject: s, subjectPattern: '^s$'}]}]\n", false},
		{"identity of no issuer", "version: 1\ntrustedRoot: trusted_root.json\nrules: [{repository: reg.io/a, identities: [{subject: s}]}]\n", false},
		{"attestation", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], attestations: [{type: spdx, condition: 'predicate.x == 1'}]}]\n", true},
		{"attestation of no type", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], attestations: [{condition: 'true'}]}]\n", false},
		{"deny", "version: 1\ndeny: {digests: ['sha256:" + strings.Repeat("0", 64) + "'], keys: [a.pub]}\nrules: []\n", true},
		{"deny what is no digest", "version: 1\ndeny: {digests: [v1]}\nrules: []\n", false},
		{"limits", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], minimumVersion: 1.4.0, allow: {types: [xdp], hooks: ['tc:eth*'], sleepable: false, mapMemory: 64Mi, licenses: gpl}, forbid: {helpers: [bpf_probe_write_user], kfuncs: ['*']}}]\n", true},
		{"unknown limit", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], allow: {type: [xdp]}}]\n", false},
		{"no types allowed", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], allow: {types: []}}]\n", false},
		{"no hooks allowed", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], allow: {hooks: []}}]\n", false},
		{"another unit", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], allow: {mapMemory: 64MB}}]\n", false},
		{"another license", "version: 1\nrules: [{repository: reg.io/a, keys: [a.pub], allow: {licenses: mit}}]\n", false},
		{"rules by name", "version: 1\nrules: {reg.io/a: [a.pub]}\n", false},
		{"a number as key", "version: 1\nrules: [{repository: reg.io/a, keys: [[a.pub]]}]\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, loaded := verify.LoadPolicy(write("policy.yaml", []byte(test.policy)))
			if (loaded == nil) != test.want {
				t.Errorf("the node says %v", loaded)
			}
			if err := validate(schema, toJSON(t, []byte(test.policy))); (err == nil) != test.want {
				t.Errorf("the schema says %v", err)
			}
		})
	}
	// One difference on purpose: a node takes a file without rules, which trusts
	// nobody; an editor should say that they are missing.
	if _, err := verify.LoadPolicy(write("policy.yaml", []byte("version: 1\n"))); err != nil {
		t.Error(err)
	}
	if validate(schema, []byte(`{"version":1}`)) == nil {
		t.Error("the schema does without rules")
	}
}

// trustedRoot is that of a virtual Sigstore, as a file.
func trustedRoot(t *testing.T) []byte {
	t.Helper()
	virtual, err := ca.NewVirtualSigstore()
	if err != nil {
		t.Fatal(err)
	}
	material, err := root.NewTrustedRoot(root.TrustedRootMediaType01, virtual.FulcioCertificateAuthorities(), nil,
		virtual.TimestampingAuthorities(), virtual.RekorLogs())
	if err != nil {
		t.Fatal(err)
	}
	data, err := material.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// documented is the policy that people copy.
func documented(t *testing.T, page string) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/" + page + ".md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	policy, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatalf("docs/%s.md shows no policy", page)
	}
	return policy
}

// TestEveryPolicyKeyIsDocumented keeps docs/policy.md complete.
func TestEveryPolicyKeyIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(of reflect.Type)
	walk = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || seen[of] {
			return
		}
		seen[of] = true
		for i := range of.NumField() {
			key := of.Field(i).Tag.Get("yaml")
			if key != "" && !regexp.MustCompile("`([a-z]+\\.)?"+key+"[`.]").Match(doc) {
				t.Errorf("docs/policy.md says nothing of %s of %s", key, of.Name())
			}
			walk(of.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[schemas.Policy]())
	if len(seen) < 8 {
		t.Errorf("only %d types were looked at", len(seen))
	}
}

// TestPredicateTypes: the schema names all that may be written.
func TestPredicateTypes(t *testing.T) {
	data, err := schemas.JSONSchema("policy")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(schemas.PredicateTypes(), ", ") + ", or the URI"; !strings.Contains(string(data), want) {
		t.Errorf("the schema does not list %s", want)
	}
	for _, name := range schemas.PredicateTypes() {
		if !strings.HasPrefix(schemas.PredicateTypeURI(name), "https://") {
			t.Errorf("%s is %q", name, schemas.PredicateTypeURI(name))
		}
	}
	if uri := schemas.PredicateTypeURI("spd"); uri != "" {
		t.Errorf("no name at all is %q", uri)
	}
}
