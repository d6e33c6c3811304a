// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image/hosts"
)

// TestSettings: the schema accepts the settings that the command line accepts.
func TestSettings(t *testing.T) {
	doc, err := os.ReadFile("../docs/registries.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("docs/registries.md shows no settings")
	}
	schema := compile(t, "settings")
	for _, test := range []struct {
		name, settings string
		want           bool
	}{
		{"the one in docs/registries.md", example, true},
		{"nothing", "registries: []\n", true},
		{"unknown key", "registries: []\nregistry: []\n", false},
		{"unknown key of a mirror", "registries: [{prefix: a.example, mirrors: [{location: b.example, blocked: true}]}]\n", false},
		{"no prefix", "registries: [{location: a.example}]\n", false},
		{"two wildcards", "registries: [{prefix: '*.*.example'}]\n", false},
		{"an address", "registries: [{prefix: '[::1]:5000/a'}]\n", true},
		{"a tag", "registries: [{prefix: 'a.example/b:v1'}]\n", false},
		{"ca-only alone", "registries: [{prefix: a.example, ca-only: true}]\n", false},
		{"cert alone", "registries: [{prefix: a.example, cert: c}]\n", false},
		{"mirror's key alone", "registries: [{prefix: a.example, mirrors: [{location: b.example, key: k}]}]\n", false},
		{"too many mirrors", "registries: [{prefix: a.example, mirrors: [" + strings.Repeat("{location: b.example},", 17) + "]}]\n", false},
		{"a proxy", "registries: [{prefix: a.example, proxy: 'socks5://u:p@h:1080'}]\n", true},
		{"no proxy", "registries: [{prefix: a.example, proxy: ''}]\n", true},
		{"what is no proxy", "registries: [{prefix: a.example, proxy: 'h:1080'}]\n", false},
		{"a number", "registries: [{prefix: a.example, plain-http: 1}]\n", false},
		{"blocked and more", "registries: [{prefix: a.example, blocked: true, location: b.example}]\n", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := hosts.Parse("config.yaml", []byte(test.settings)); (err == nil) != test.want {
				t.Errorf("the command line says %v", err)
			}
			if err := validate(schema, toJSON(t, []byte(test.settings))); (err == nil) != test.want {
				t.Errorf("the schema says %v", err)
			}
		})
	}
}
