// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestSchemasRefuse: documents that are wrong in one place.
func TestSchemasRefuse(t *testing.T) {
	good := rightDocuments(t)
	for _, test := range []struct{ schema, old, new string }{
		{"description", `"schemaVersion":1`, `"schemaVersion":2`},
		{"description", `"schemaVersion":1`, `"schemaVersion":"1"`},
		{"description", `"objects":[`, `"extra":1,"objects":[`},
		{"description", `"file":"a.o"`, `"file":"../a.o"`},
		{"description", `"file":"a.o"`, `"file":"a"`},
		{"description", `"file":"a.o",`, ``},
		{"description", `sha256:b8`, `sha256:B8`},
		{"description", `"size":1`, `"size":-1`},
		{"description", `"little"`, `"middle"`},
		{"description", `"btf":true`, `"btf":"true"`},
		{"description", `"keySize":4`, `"keySize":4294967296`},
		{"description", `"keySize":4`, `"keySize":4,"keysize":4`},
		{"description", `"instructions":2`, `"instructions":2.5`},
		{"description", `"section":"xdp"`, `"section":"xdp","options":{"a":1}`},
		{"policy", `"version":1`, `"version":2`},
		{"policy", `"version":1,`, ``},
		{"policy", `"keys":["k.pub"]`, `"keys":[]`},
		{"policy", `"keys":["k.pub"]`, `"keys":"k.pub"`},
		{"policy", `"keys":["k.pub"]`, `"keys":["k.pub"],"keyz":[]`},
		{"buildfile", `"name":"n"`, `"nmae":"n"`},
		{"buildfile", `"name":"n"`, `"name":1`},
		{"buildfile", `{"a":"b"}`, `{"io.ebpf.programs":"{}"}`},
		{"buildfile", `{"attach":"xdp"}`, `{}`},
		{"buildfile", `{"attach":"xdp"}`, `{"attach":"xdp","target":"eth0"}`},
		{"buildfile", `"cpu":"v3"`, `"cpu":"probe"`},
		{"buildfile", `"cpu":"v3"`, `"mcpu":"v3"`},
		{"buildfile", `"-Wextra"`, `"-fplugin=x"`},
		{"buildfile", `"A=1"`, `"A B"`},
		{"buildfile", `"a.c"`, `"a.o"`},
		{"settings", `"prefix":"a.example/b",`, ``},
		{"settings", `"prefix":"a.example/b"`, `"prefix":"https://a.example"`},
		{"settings", `"prefix":"a.example/b"`, `"prefix":"a.example/b","bloked":true`},
		{"settings", `"location":"m.example:5000"`, `"location":""`},
		{"settings", `"key":"k.pem",`, ``},
		{"settings", `"ca":"ca.pem",`, ``},
		{"settings", `"proxy":""`, `"proxy":"ftp://p"`},
		{"settings", `"digests-only":true`, `"digests-only":"yes"`},
		{"instance", `"state":"updating"`, `"state":"sleeping"`},
		{"instance", `"ifindex":4294967295`, `"ifindex":4294967296`},
		{"instance", `"asked":true`, `"asked":true,"unasked":true`},
		{"instance", `"other":{`, `"other":{"update":{"committed":true,"other":{}},`},
		{"instance", `"started":"2026-02-28T`, `"started":"2026-02-30T`},
		{"config", `"os":"linux"`, `"os":"linux","user":"root"`},
		{"config", `"type":"layers"`, `"type":"layer"`},
		{"config", `"io.ebpf.maps":"{`, `"io.ebpf.maps":"{{`},
		{"config", `"io.ebpf.maps":`, `"io.ebpf.map":`},
		{"config", `\"hook\":\"xdp\"}}"`, `\"hooks\":\"xdp\"}}"`},
	} {
		t.Run(fmt.Sprintf("%s %s", test.schema, test.new), func(t *testing.T) {
			schema := compile(t, test.schema)
			if err := validate(schema, []byte(good[test.schema])); err != nil {
				t.Fatalf("the right document is refused: %v", err)
			}
			bad := strings.Replace(good[test.schema], test.old, test.new, 1)
			if bad == good[test.schema] {
				t.Fatalf("%q is not in it", test.old)
			}
			if err := validate(schema, []byte(bad)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// rightDocuments has one of each schema.
func rightDocuments(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"description": `{"schemaVersion":1,"objects":[{"file":"a.o","digest":"` + someDigest + `","size":1,"endianness":"little","btf":true,"core":false,` +
			`"programs":[{"name":"p","type":"xdp","section":"xdp","instructions":2}],` +
			`"maps":[{"name":"m","type":"hash","keySize":4,"valueSize":8,"maxEntries":1}]}]}`,
		"policy": `{"version":1,"rules":[{"repository":"r.example/a","keys":["k.pub"]}]}`,
		"buildfile": `{"name":"n","labels":{"a":"b"},"programs":{"p":{"attach":"xdp"}},` +
			`"compile":{"sources":["a.c"],"defines":["A=1"],"cpu":"v3","flags":["-Wextra"]}}`,
		"settings": `{"registries":[{"prefix":"a.example/b","ca":"ca.pem","ca-only":true,"cert":"c.pem","key":"k.pem","proxy":"",` +
			`"mirrors":[{"location":"m.example:5000","digests-only":true}]},{"prefix":"*.b.example","blocked":true}]}`,
		"instance": string(marshal(t, fullInstance())),
		"config":   exampleConfig(t),
	}
}

// exampleConfig is a real config without its white space.
func exampleConfig(t *testing.T) string {
	t.Helper()
	golden := files(t, "../build/testdata/xdp-counter.golden")["../build/testdata/xdp-counter.golden"]
	_, text, _ := strings.Cut(string(golden), "\nconfig ")
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
