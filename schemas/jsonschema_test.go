// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// compile returns the validator of a document, which also reads the JSON inside
// of labels.
func compile(t testing.TB, name string) *jsonschema.Schema {
	t.Helper()
	data, err := schemas.JSONSchema(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	id := doc.(map[string]any)["$id"].(string)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // loads nothing: each stands alone
	if err := c.AddResource(id, doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate checks a JSON document.
func validate(schema *jsonschema.Schema, data []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

// toJSON turns a YAML document into JSON.
func toJSON(t testing.TB, data []byte) []byte {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return marshal(t, v)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// files reads those that match, of which there must be some.
func files(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("found %d files for %s: %v", len(names), pattern, err)
	}
	found := map[string][]byte{}
	for _, name := range names {
		if found[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestNames(t *testing.T) {
	for _, name := range schemas.JSONSchemaNames() {
		compile(t, name)
	}
	for _, name := range []string{"", "keys", "../keys", "description.json"} {
		if _, err := schemas.JSONSchema(name); !errors.Is(err, schemas.ErrNoSchema) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if n := len(files(t, "jsonschema/*")); n != len(schemas.JSONSchemaNames()) {
		t.Errorf("%d schemas have a name, there are %d files", len(schemas.JSONSchemaNames()), n)
	}
}

// TestDescriptions: what package inspect says of every object there is.
func TestDescriptions(t *testing.T) {
	schema := compile(t, "description")
	for name, data := range files(t, "../bpf/inspect/testdata/*.golden.json") {
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatal(err)
		}
		if file := object["file"].(string); !strings.HasSuffix(file, ".o") {
			object["file"] = file + ".o" // as build stores it
		}
		document := marshal(t, map[string]any{"schemaVersion": schemas.DescriptionVersion, "objects": []any{object}})
		if err := validate(schema, document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The objects are there as Go writes them.
		var read schemas.Description
		if err := json.Unmarshal(document, &read); err != nil {
			t.Fatal(err)
		}
		if err := validate(schema, marshal(t, read)); err != nil {
			t.Errorf("%s, read and written again: %v", name, err)
		}
	}
}

// TestConfigs: those of the images in package build's golden files, and the JSON
// in their labels.
func TestConfigs(t *testing.T) {
	config, description := compile(t, "config"), compile(t, "description")
	for name, data := range files(t, "../build/testdata/*.golden") {
		_, text, ok := strings.Cut(string(data), "\nconfig ")
		if !ok {
			t.Fatalf("%s has no config", name)
		}
		if err := validate(config, []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var parsed struct {
			Config struct{ Labels map[string]string } `json:"config"`
		}
		if err := json.Unmarshal([]byte(text), &parsed); err != nil {
			t.Fatal(err)
		}
		if err := validate(description, []byte(parsed.Config.Labels[schemas.LabelDescription])); err != nil {
			t.Errorf("%s: %s: %v", name, schemas.LabelDescription, err)
		}
	}
}

func TestBuildFiles(t *testing.T) {
	schema := compile(t, "buildfile")
	for name, data := range files(t, "../examples/*/bpfimg.yaml") {
		if err := validate(schema, toJSON(t, data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The pattern of attach defaults is what ParseHook takes.
	for _, attach := range []string{
		"xdp", "xdp:eth0", "tc:eth0,direction=ingress,priority=5", "uprobe:/bin/sh:readline,pid=1", "a:b:c", "x,k=v=w", "x y", "ü:é,ß=ł",
		"xdp,proceed-on=pass,drop", "xdp:eth0,priority=5,proceed-on=pass,drop,tx,mode=native", "xdp,proceed-on=pass,,drop", "xdp,proceed-on=,pass",
		"xdp,proceed-on=pass,", "xdp,priority=5,drop", "xdp,proceed-on=pass,priority=5,drop", "xdp,proceed-on=pass,=drop",
		"", ":", "xdp:", ":eth0", "xdp,", "xdp,,a=b", "xdp,mode", "xdp,=v", "xdp,k=", "xdp:eth0,", ",a=b", "x:,a=b",
	} {
		_, parsed := schemas.ParseHook(attach)
		document := marshal(t, schemas.BuildFile{Programs: map[string]schemas.ProgramDefaults{"p": {Attach: attach}}})
		if err := validate(schema, document); (err == nil) != (parsed == nil) {
			t.Errorf("attach %q: the schema says %v, ParseHook %v", attach, err, parsed)
		}
	}
}

// values fills strings whose schema allows some values only.
var values = map[string]string{
	"State": "updating", "Kind": "key", "Format": "bundle", "Via": "netlink", "MapMode": "0660", "Tag": "0123456789abcdef",
	"Digest": someDigest, "PreviousDigest": someDigest, "IndexDigest": someDigest, "KeyID": someDigest,
	"Objects": someDigest, "CertificateKey": someDigest, "TrustedRoot": someDigest,
}

const someDigest = "sha256:b857526b967fea33ccfb745aa811961826a0c6f81b2cbd7647f12566afc67fcd"

// fill sets every field to something that is not its zero value.
func fill(v reflect.Value, name string, depth int) {
	switch {
	case v.Type() == timeType:
		v.Set(reflect.ValueOf(time.Date(2026, 2, 28, 12, 0, 0, 1, time.UTC)))
	case v.Kind() == reflect.String:
		v.SetString(name)
		if s, ok := values[name]; ok {
			v.SetString(s)
		}
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1<<v.Type().Bits() - 1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), name, depth)
	case v.Kind() == reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, name, depth)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), value)
	case v.Kind() == reflect.Pointer:
		if name == "Update" && depth > 0 {
			return // the other version has none
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, depth+1)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), v.Type().Field(i).Name, depth)
		}
	}
}

func fullInstance() schemas.Instance {
	var rec schemas.Instance
	fill(reflect.ValueOf(&rec).Elem(), "", 0)
	return rec
}

// TestInstances: a record with everything in it, and the least that is written.
func TestInstances(t *testing.T) {
	schema := compile(t, "instance")
	full := fullInstance()
	if full.Update == nil || len(full.Update.Other.Links) != 1 || full.Links[0].Netns == 0 {
		t.Fatal("the record is not full")
	}
	least := schemas.Instance{SchemaVersion: schemas.InstanceVersion, Name: "x", State: "starting", Digest: someDigest}
	for _, rec := range []schemas.Instance{full, least} {
		if err := validate(schema, marshal(t, rec)); err != nil {
			t.Errorf("%+v: %v", rec, err)
		}
	}
}
