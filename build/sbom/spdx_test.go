// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sbom

import (
	"bytes"
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestSchema holds documents to what SPDX 2.3 says of names, values and what must
// be there; see the comment in the schema.
func TestSchema(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("testdata/spdx-2.3.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(data []byte) error {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			return err
		}
		return schema.Validate(doc)
	}
	for name, in := range inputs() {
		data, err := Document(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, spoil := range [][2]string{
			{`"spdxVersion":"SPDX-2.3"`, `"spdxVersion":"SPDX-2.4"`},
			{`"SPDXID":"SPDXRef-Compiler`, `"SPDXID":"Compiler`},
			{`"algorithm":"SHA256"`, `"algorithm":"SHA-256"`},
			{`"relationshipType":"CONTAINS"`, `"relationshipType":"HAS"`},
			{`"downloadLocation"`, `"location"`},
			{`Z","creators"`, `+01:00","creators"`},
		} {
			spoilt := strings.Replace(string(data), spoil[0], spoil[1], 1)
			if spoilt == string(data) {
				t.Errorf("%s: there is no %s to spoil", name, spoil[0])
			} else if check([]byte(spoilt)) == nil {
				t.Errorf("%s: accepted with %s", name, spoil[1])
			}
		}
	}
}

// TestReadBySPDX: SPDX's own library for Go reads the document, and writes what it
// read as tag-value, in which everything comes up again.
func TestReadBySPDX(t *testing.T) {
	t.Parallel()
	const name = "spdx-jsontotv"
	tool, err := exec.LookPath(name)
	if err != nil {
		tool = filepath.Join(build.Default.GOPATH, "bin", name)
	}
	if _, err := os.Stat(tool); err != nil {
		t.Skipf("SKIP-REASON: %s is neither in PATH nor in GOPATH/bin; .ci/install brings it", name)
	}
	for name, in := range inputs() {
		t.Run(name, func(t *testing.T) {
			data, err := Document(in)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			from, to := filepath.Join(dir, "in.json"), filepath.Join(dir, "out.spdx")
			if err := os.WriteFile(from, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), tool, from, to).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			read, err := os.ReadFile(to)
			if err != nil {
				t.Fatal(err)
			}
			for tag, key := range map[string]string{
				"SPDXID": "SPDXID", "PackageName": "downloadLocation", "FileName": "fileName",
				"Relationship": "relationshipType", "LicenseID": "licenseId", "ExternalRef": "referenceLocator",
			} {
				got := strings.Count("\n"+string(read), "\n"+tag+":")
				if want := strings.Count(string(data), fmt.Sprintf("%q:", key)); got != want {
					t.Errorf("%d of %s were read, want %d of %s:\n%s", got, tag, want, key, read)
				}
			}
		})
	}
}
