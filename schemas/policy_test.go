// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/verify"
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
	for _, name := range []string{"a.pub", "b.pub", "net-team.pub", "platform.pub", "platform-next.pub"} {
		write(name, pair.PublicPEM)
	}
	schema := compile(t, "policy")
	for _, test := range []struct {
		name, policy string
		want         bool
	}{
		{"the one in docs/trust.md", documented(t), true},
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

// documented is the policy that people copy.
func documented(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/trust.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	policy, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("docs/trust.md shows no policy")
	}
	return policy
}
