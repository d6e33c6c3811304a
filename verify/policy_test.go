// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeFiles stands for the files a policy names: a key's path is its id, and
// every trusted root is the same.
type fakeFiles struct{ trustedRoot *TrustedRoot }

func (f fakeFiles) root(file string) (*TrustedRoot, error) {
	if f.trustedRoot == nil || strings.Contains(file, "gone") {
		return nil, os.ErrNotExist
	}
	return f.trustedRoot, nil
}

func (fakeFiles) key(file string) (Key, error) {
	if strings.Contains(file, "gone") {
		return Key{}, os.ErrNotExist
	}
	return Key{ID: file, File: file}, nil
}

func TestPolicyMatch(t *testing.T) {
	p, err := parsePolicy([]byte(`
version: 1
rules:
  - {repository: reg.io/*, keys: [all]}
  - {repository: reg.io/team/*, keys: [team, lead]}
  - {repository: reg.io/team/app, keys: [app]}
  - {repository: reg.io/team/app/*, keys: [plugins]}
  - {repository: "localhost:5000/x/y", keys: [local]}
  - {repository: docker.io/library/busybox, keys: [busybox]}
`), "p.yaml", fakeFiles{})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"reg.io/x":                  "all",
		"reg.io/team":               "all",
		"reg.io/team-evil/x":        "all",
		"reg.io/team/x":             "team lead",
		"reg.io/team/x/y/z":         "team lead",
		"reg.io/team/app":           "app",
		"reg.io/team/app2":          "team lead",
		"reg.io/team/app/one":       "plugins",
		"localhost:5000/x/y":        "local",
		"localhost:5000/x/y/z":      "",
		"localhost:5000/x":          "",
		"localhost/x/y":             "",
		"docker.io/library/busybox": "busybox",
		"reg.io":                    "",
		"reg.iox/team/x":            "",
		"evil.reg.io/team/x":        "",
		"reg.io/team/*":             "team lead",
		"":                          "",
		"/":                         "",
	}
	for repository, want := range tests {
		rule, err := p.Rule(repository)
		var got []string
		for _, k := range rule.Keys() {
			got = append(got, k.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: keys %v, want %q", repository, got, want)
		}
		if (want == "") != errors.Is(err, ErrNotTrusted) {
			t.Errorf("%q: error %v", repository, err)
		}
	}
}

func TestPolicyRefusals(t *testing.T) {
	rule := func(repository string) string {
		return "version: 1\nrules:\n  - repository: \"" + repository + "\"\n    keys: [a]\n"
	}
	tests := []struct{ name, data, want string }{
		{"empty", "", "is empty"},
		{"comment only", "# nothing\n", "is empty"},
		{"not YAML", "\t{", "yaml"},
		{"another shape", "- a\n", "line 1"},
		{"unknown key", "version: 1\nrules:\n  - repository: reg.io/a\n    keyz: [a]\n", "line 4: field keyz"},
		{"key given twice", "version: 1\nversion: 1\n", "line 2"},
		{"no version", "rules: []\n", "has no version"},
		{"later version", "version: 2\n", "version 2 is not known"},
		{"two documents", "version: 1\n---\nversion: 1\n", "more than one"},
		{"junk after", "version: 1\n---\n\t{", "line 3"},
		{"no keys", "version: 1\nrules: [{repository: reg.io/a}]\n", "at least one"},
		{"too many keys", "version: 1\nrules: [{repository: reg.io/a, keys: [" + strings.Repeat("a,", maxRuleKeys+1) + "]}]\n", "the limit is"},
		{"too many rules", "version: 1\nrules: [" + strings.Repeat("{},", maxRules+1) + "]\n", "over the limit"},
		{"too large", "version: 1\n#" + strings.Repeat("x", MaxPolicy), "over the limit"},
		{"no repository", "version: 1\nrules: [{keys: [a]}]\n", "rule 1: has no repository"},
		{"same pattern twice", rule("reg.io/a") + "  - {repository: reg.io/a, keys: [b]}\n", `rule 2: repository "reg.io/a" has a rule already`},
		{"key file gone", "version: 1\nrules: [{repository: reg.io/a, keys: [gone]}]\n", `repository "reg.io/a": file does not exist`},
		{"everything", rule("*"), "invalid reference"},
		{"everything below nothing", rule("/*"), "invalid reference"},
		{"no registry", rule("net/a"), `here "docker.io/net/a"`},
		{"short docker name", rule("docker.io/a"), `here "docker.io/library/a"`},
		{"docker's other name", rule("index.docker.io/a/*"), `here "docker.io/a/*"`},
		{"tag", rule("reg.io/a:v1"), `here "reg.io/a"`},
		{"wildcard inside", rule("reg.io/*/a"), "invalid reference"},
		{"wildcard in a name", rule("reg.io/a*"), "invalid reference"},
		{"wildcard twice", rule("reg.io/*/*"), "invalid reference"},
		{"two slashes", rule("reg.io//*"), "invalid reference"},
		{"upper case", rule("reg.io/Team/*"), "invalid reference"},
		{"dots", rule("reg.io/../a"), "invalid reference"},
		{"scheme", rule("https://reg.io/a"), "invalid reference"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parsePolicy([]byte(tt.data), "p.yaml", fakeFiles{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "policy p.yaml: ") {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if errors.Is(err, ErrNotTrusted) {
				t.Error("a broken policy is not a verdict")
			}
		})
	}
}

func TestLoadPolicy(t *testing.T) {
	key, dir := newKey(t), t.TempDir()
	write := func(name, data string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	absolute := write("keys/a.pub", string(key.PEM))
	path := write("policy.yaml", "version: 1\nrules:\n  - {repository: reg.io/a/*, keys: [keys/a.pub, '"+absolute+"']}\n")
	p, err := LoadPolicy(path)
	if err != nil {
		t.Fatal(err)
	}
	rule, err := p.Rule("reg.io/a/b")
	keys := rule.Keys()
	if err != nil || len(keys) != 2 || keys[0].ID != key.ID || keys[0].File != absolute || keys[1].File != absolute {
		t.Errorf("keys %v, error %v", keys, err)
	}
	if _, err := p.Rule("reg.io/b"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v does not name the policy", err)
	}
	if _, err := LoadPolicy(filepath.Join(dir, "gone.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
	write("keys/a.pub", "x")
	if _, err := LoadPolicy(path); err == nil || !strings.Contains(err.Error(), "a.pub") {
		t.Errorf("error %v does not name the key file", err)
	}
}
