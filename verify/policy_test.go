// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
)

// fakeFiles stands for the files a policy names: a key's path is its id, and
// every trusted root is the same.
type fakeFiles struct {
	trustedRoot *TrustedRoot
	keys        map[string]*testKey // instead of such ids
}

func (f fakeFiles) root(file string) (*TrustedRoot, error) {
	if f.trustedRoot == nil || strings.Contains(file, "gone") {
		return nil, os.ErrNotExist
	}
	return f.trustedRoot, nil
}

func (f fakeFiles) key(file string) (Key, error) {
	if key, ok := f.keys[file]; ok {
		return key.Key, nil
	}
	if strings.Contains(file, "gone") {
		return Key{}, os.ErrNotExist
	}
	return Key{ID: file, File: file}, nil
}

func TestPolicyMatch(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	rule := func(repository string) string {
		return "version: 1\nrules:\n  - repository: \"" + repository + "\"\n    keys: [a]\n"
	}
	tests := []struct{ name, data, want string }{
		{"empty", "", "is empty"},
		{"comment only", "# nothing\n", "is empty"},
		{"not YAML", "\t{", "yaml"},
		{"another shape", "- a\n", "line 1"},
		{"unknown key", "version: 1\nrules:\n  - repository: reg.io/a\n    keyz: [a]\n", `line 4: unknown key "keyz"; known here: `},
		{"key given twice", "version: 1\nversion: 1\n", "line 2"},
		{"no version", "rules: []\n", "has no version"},
		{"key without a value", rule("reg.io/a") + "    forbid:\n      helpers:\n      # - bpf_send_signal\n", `line 6: "helpers" has no value`},
		{"empty text", rule("reg.io/a") + "    minimumVersion: ''\n", `line 5: "minimumVersion" has no value`},
		{"null", rule("reg.io/a") + "    threshold: ~\n", `line 5: "threshold" has no value`},
		{"limits without a value", rule("reg.io/a") + "    allow:\n", `line 5: "allow" has no value`},
		{"null by another name", rule("reg.io/a") + "    minimumVersion: &x null\n    allow: {licenses: *x}\n", `line 5: "minimumVersion" has no value`},
		{"entry without a value", rule("reg.io/a") + "deny:\n  digests:\n  -\n", "line 7: an entry without a value"},
		{"later version", "version: 2\n", "version 2 is not known"},
		{"two documents", "version: 1\n---\nversion: 1\n", "a second document begins"},
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
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "policy p.yaml: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if errors.Is(err, ErrNotTrusted) {
				t.Error("a broken policy is not a verdict")
			}
		})
	}
}

// TestPolicyKeys: the error for an unknown key lists those that there are.
func TestPolicyKeys(t *testing.T) {
	t.Parallel()
	for _, of := range []any{
		schemas.Policy{},
		schemas.PolicyDeny{},
		schemas.PolicyRule{},
		schemas.PolicyIdentity{},
		schemas.PolicyAttestation{},
		schemas.PolicyAllow{},
		schemas.PolicyForbid{},
		schemas.PolicyKey{},
	} {
		typ := reflect.TypeOf(of)
		var tags []string
		for i := range typ.NumField() {
			tags = append(tags, typ.Field(i).Tag.Get("yaml"))
		}
		name := strings.Replace(typ.Name(), "PolicyKey", "policyKeyText", 1)
		if want := strings.Join(tags, ", "); policyKeys[name] != want {
			t.Errorf("%s: %q, want %q", name, policyKeys[name], want)
		}
	}
}

// TestClauseRefusals: clauses of a rule that mean nothing, or not what somebody
// thought.
func TestClauseRefusals(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	files := fakeFiles{trustedRoot: s.trusted}
	identity := func(text string) string { return "  identities: [{" + text + "}]\n" }
	const issuer = "issuer: 'https://i.example', "
	pattern := func(text string) string { return identity(issuer + "subjectPattern: '" + text + "'") }
	attestation := func(text string) string { return "  keys: [a]\n  attestations: [{" + text + "}]\n" }
	for _, tt := range []struct{ name, clauses, want string }{
		{"good", "  keys: [a, {file: b, notAfter: 2027-01-01T00:00:00Z}]\n" + identity(issuer+"subject: x") + "  threshold: 3\n", ""},
		{"unknown key of a key", "  keys:\n  - a\n  - file: b\n    notafter: 2027-01-01T00:00:00Z\n", `line 8: unknown key "notafter"; known here: `},
		{"unknown key of an identity", identity("isuer: x"), `unknown key "isuer"; known here: `},
		{"unknown key of an attestation", attestation("tipe: x"), `unknown key "tipe"; known here: `},
		{"unknown key of allow", "  keys: [a]\n  allow: {typs: [xdp]}\n", `unknown key "typs"; known here: `},
		{"unknown key of forbid", "  keys: [a]\n  forbid: {helper: [x]}\n", `unknown key "helper"; known here: `},
		{"key that is a list", "  keys: [[a]]\n", "line 5"},
		{"time that is none", "  keys: [{file: a, notAfter: tomorrow}]\n", `key "a": notAfter "tomorrow": want a time`},
		{"date alone", "  keys: [{file: a, notAfter: 2027-01-01}]\n", "want a time"},
		{"key without a file", "  keys: [{notAfter: 2027-01-01T00:00:00Z}]\n", "no key file"},
		{"times the wrong way round", "  keys: [{file: a, notBefore: 2027-01-01T00:00:00Z, notAfter: 2026-01-01T00:00:00Z}]\n", "never sign"},
		{"no issuer", identity("subject: x"), "without an issuer"},
		{"no subject", identity("issuer: x"), "neither subject nor subjectPattern"},
		{"subject and pattern", identity(issuer + "subject: x, subjectPattern: '^x$'"), "both subject and subjectPattern"},
		{"pattern anchored", pattern("^https://git\\.example/acme/[^/]+$"), ""},
		{"pattern open", pattern("https://git"), "is not anchored"},
		{"pattern open at the end", pattern("^https://git"), "is not anchored"},
		{"pattern open at the start", pattern("git$"), "is not anchored"},
		{"pattern with open halves", pattern("^a|b$"), "is not anchored"},
		{"pattern with open lines", pattern("(?m)^a$"), "is not anchored"},
		{"pattern that ends with a dollar sign", pattern("^a\\$"), "is not anchored"},
		{"pattern that is none", pattern("^($"), "missing closing"},
		{"pattern with a reference back", pattern("^(a)\\1$"), "invalid escape"},
		{"long text", identity(issuer + "subject: " + strings.Repeat("x", maxIdentityTextBytes+1)), "the limit is"},
		{"too many identities", "  identities: [" + strings.Repeat("{},", maxRuleIdentities+1) + "]\n", "the limit is"},
		{"threshold of more", "  keys: [a, b]\n  threshold: 3\n", "want 1 to 2"},
		{"threshold of one key twice", "  keys: [a, a]\n  threshold: 2\n", "want 1 to 1"},
		{"threshold below one", "  keys: [a]\n  threshold: -1\n", "want 1 to 1"},
		{"log perhaps", "  keys: [a]\n  transparencyLog: perhaps\n", "want required or optional"},
		{"timestamp perhaps", "  keys: [a]\n  timestamp: perhaps\n", "want required or optional"},
		{"trusted root gone", "  keys: [a]\n  trustedRoot: gone\n", "file does not exist"},
		{"attestation without type", attestation("condition: 'true'"), "without a type"},
		{"attestation of no type", attestation("type: slsa"), "want slsaprovenance1"},
		{"attestation that is a signature", attestation("type: '" + schemas.PredicateCosignSign + "'"), "not attestations"},
		{"attestation by an open pattern", attestation("type: spdx, identities: [{issuer: x, subjectPattern: x}]"), "is not anchored"},
		{"too many attestations", "  keys: [a]\n  attestations: [" + strings.Repeat("{},", maxRuleAttestations+1) + "]\n", "the limit is"},
		{"condition that is none", attestation("type: spdx, condition: 'predicate.'"), "Syntax error"},
		{"condition on what there is not", attestation("type: spdx, condition: 'predicat.x == 1'"), "undeclared reference"},
		{"condition that is a number", attestation("type: spdx, condition: '1 + 1'"), "want true or false"},
		{"condition that is too long", attestation("type: spdx, condition: '" + strings.Repeat("!", maxCondition) + "true'"), "the limit is"},
		{"condition that nests", attestation("type: spdx, condition: '" + strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200) + "'"), "recursion"},
		{"too many names", "  keys: [a]\n  forbid: {helpers: [" + strings.Repeat("a,", maxRuleNames+1) + "]}\n", "forbid.helpers has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "version: 1\ntrustedRoot: tr.json\nrules:\n- repository: reg.io/a\n" + tt.clauses
			_, err := parsePolicy([]byte(text), "p.yaml", files)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrNotTrusted) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestTrustedRootMustDo: a rule that nothing could ever satisfy is a mistake.
func TestTrustedRootMustDo(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	identity := ourIdentity
	for _, tt := range []struct {
		name, clauses string
		root          *TrustedRoot
		want          string
	}{
		{"identities without", identity, nil, "need a trustedRoot"},
		{"log without", "  keys: [a]\n  transparencyLog: required\n", nil, "need a trustedRoot"},
		{"timestamp without", "  keys: [a]\n  timestamp: required\n", nil, "need a trustedRoot"},
		{"attestation by identity without", "  keys: [a]\n  attestations: [{type: spdx, identities: [{issuer: i, subject: s}]}]\n", nil, "need a trustedRoot"},
		{"keys without", "  keys: [a]\n", nil, ""},
		{"no log", identity, s.trust(t, verifytest.Trust{NoLog: true}), "names no transparency log"},
		{"no log, optional", identity + "  transparencyLog: optional\n", s.trust(t, verifytest.Trust{NoLog: true}), ""},
		{"no log, no timestamp", identity + "  transparencyLog: optional\n", s.trust(t, verifytest.Trust{NoLog: true, NoTimestamps: true}), "no signing time"},
		{"no timestamp authority", identity, s.trust(t, verifytest.Trust{NoTimestamps: true}), ""},
		{"no authority", identity, must[*TrustedRoot](t)(ParseTrustedRoot([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), "tr.json")), "no certificate authority"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := "version: 1\ntrustedRoot: tr.json\nrules:\n- repository: reg.io/a\n" + tt.clauses
			if tt.root == nil {
				text = strings.Replace(text, "trustedRoot: tr.json\n", "", 1)
			}
			_, err := parsePolicy([]byte(text), "p.yaml", fakeFiles{trustedRoot: tt.root})
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestDenyRefusals(t *testing.T) {
	t.Parallel()
	for deny, want := range map[string]string{
		"digests: [sha256:x]": "want sha256:",
		"digests: [x]":        "want sha256:",
		"digests: ['sha384:" + strings.Repeat("0", 96) + "']": "want sha256:",
		"digests: ['sha512:" + strings.Repeat("0", 64) + "']": "want sha256:",
		"digests: ['sha256:" + strings.Repeat("A", 64) + "']": "want sha256:",
		"digest: []":   `unknown key "digest"; known here: `,
		"keys: [gone]": "file does not exist",
		"keys: [" + strings.Repeat("a,", maxDeniedKeys+1) + "]":       "over the limit",
		"digests: [" + strings.Repeat("a,", maxDeniedDigests+1) + "]": "over the limit",
	} {
		_, err := parsePolicy([]byte("version: 1\ndeny: {"+deny+"}\nrules: []\n"), "p.yaml", fakeFiles{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: error %v, want one with %q", deny, err, want)
		}
	}
}

func TestLoadPolicy(t *testing.T) {
	t.Parallel()
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
	again := must[*Policy](t)(LoadPolicy(path))
	if again.Fingerprint() != p.Fingerprint() || again.Name() != path {
		t.Errorf("%s has the fingerprint %s, then %s", again.Name(), p.Fingerprint(), again.Fingerprint())
	}
	write("keys/a.pub", string(newKey(t).PEM)) // the same policy file, another key
	if again := must[*Policy](t)(LoadPolicy(path)); again.Fingerprint() == p.Fingerprint() {
		t.Error("another key, the same fingerprint")
	}
	write("keys/a.pub", "x")
	if _, err := LoadPolicy(path); err == nil || !strings.Contains(err.Error(), "a.pub") {
		t.Errorf("error %v does not name the key file", err)
	}
}
