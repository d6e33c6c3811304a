// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// node is what the comparison needs of a JSON Schema.
type node struct {
	Ref         string          `json:"$ref"`
	Type        any             `json:"type"` // a string, or several
	Format      string          `json:"format"`
	Required    []string        `json:"required"`
	Properties  properties      `json:"properties"`
	Additional  json.RawMessage `json:"additionalProperties"`
	Items       *node           `json:"items"`
	Minimum     *float64        `json:"minimum"`
	Maximum     *float64        `json:"maximum"`
	Defs        map[string]node `json:"$defs"`
	Description string          `json:"description"`
}

// properties of a schema, with the order they stand in.
type properties struct {
	of    map[string]node
	order []string
}

func (p *properties) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &p.of); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		p.order = append(p.order, key.(string))
		if err := dec.Decode(new(json.RawMessage)); err != nil {
			return err
		}
	}
	return nil
}

// types of a schema node.
func (n node) types() []string {
	switch v := n.Type.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, t := range v {
			all = append(all, t.(string))
		}
		return all
	}
	return nil
}

// drift compares a Go type with a schema.
type drift struct {
	t    *testing.T
	root node
	// narrow allows the schema to know fewer keys than the type: bpfimg writes a
	// part of the image config.
	narrow bool
	done   map[reflect.Type]bool
}

// TestTypesAndSchemasAgree: every key of a Go type is in its schema and the
// other way round, in the same order, required unless it has omitempty, and of the same type.
func TestTypesAndSchemasAgree(t *testing.T) {
	for _, test := range []struct {
		name   string
		of     any
		narrow bool
	}{
		{"description", schemas.Description{}, false},
		{"policy", schemas.Policy{}, false},
		{"instance", schemas.Instance{}, false},
		{"buildfile", schemas.BuildFile{}, false},
		{"settings", schemas.Settings{}, false},
		{"config", ocispec.Image{}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &drift{t: t, root: parseNode(t, test.name), narrow: test.narrow, done: map[reflect.Type]bool{}}
			d.compare(test.name, reflect.TypeOf(test.of), d.root)
			if test.name == "config" { // in a label, as text
				d.narrow = false
				d.compare("programHook", reflect.TypeOf(schemas.ProgramHook{}), d.root.Defs["programHook"])
			}
		})
	}
}

func parseNode(t *testing.T, name string) node {
	t.Helper()
	data, err := schemas.JSONSchema(name)
	if err != nil {
		t.Fatal(err)
	}
	var n node
	if err := json.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// resolve follows references within the document.
func (d *drift) resolve(n node) node {
	for n.Ref != "" {
		target := d.root
		path := strings.Split(strings.TrimPrefix(n.Ref, "#"), "/")[1:]
		for len(path) >= 2 {
			if path[0] == "$defs" {
				target = target.Defs[path[1]]
			} else {
				target = target.Properties.of[path[1]]
			}
			path = path[2:]
		}
		n = target
	}
	return n
}

var (
	timeType = reflect.TypeFor[time.Time]()
	rawType  = reflect.TypeFor[json.RawMessage]()
)

func (d *drift) compare(where string, goType reflect.Type, n node) {
	d.t.Helper()
	n = d.resolve(n)
	if goType.Kind() == reflect.Pointer {
		goType = goType.Elem()
	}
	if goType == rawType {
		if all := []string{"number", "boolean", "string", "array", "object"}; !slices.Equal(n.types(), all) {
			d.t.Errorf("%s: the schema says %v, Go says any of %v", where, n.Type, all)
		}
		return
	}
	want, ok := jsonType(goType)
	if !ok {
		d.t.Fatalf("%s: nobody said what a %s is in JSON", where, goType)
	}
	if !slices.Contains(n.types(), want) {
		d.t.Errorf("%s: the schema says %v, Go says %s", where, n.Type, want)
		return
	}
	switch {
	case goType == timeType:
		if n.Format != "date-time" {
			d.t.Errorf("%s: a time without the format", where)
		}
	case goType.Kind() == reflect.Slice:
		d.compare(where+"[]", goType.Elem(), *n.Items)
	case goType.Kind() == reflect.Map:
		var values node
		if err := json.Unmarshal(n.Additional, &values); err != nil {
			d.t.Fatalf("%s: the schema does not say what its values are: %v", where, err)
		}
		d.compare(where+"{}", goType.Elem(), values)
	case goType.Kind() == reflect.Struct:
		d.compareStruct(where, goType, n)
	case want == "integer":
		d.compareRange(where, goType, n)
	}
}

// jsonType is what encoding/json makes of a Go type.
func jsonType(goType reflect.Type) (string, bool) {
	if goType == timeType {
		return "string", true
	}
	name, ok := map[reflect.Kind]string{
		reflect.String: "string", reflect.Bool: "boolean", reflect.Slice: "array", reflect.Map: "object", reflect.Struct: "object",
		reflect.Int: "integer", reflect.Int64: "integer", reflect.Uint32: "integer", reflect.Uint64: "integer",
	}[goType.Kind()]
	return name, ok
}

func (d *drift) compareRange(where string, goType reflect.Type, n node) {
	if n.Minimum != nil && *n.Minimum < 0 {
		d.t.Errorf("%s: nothing here is negative", where)
	}
	if goType.Kind() == reflect.Uint32 && (n.Minimum == nil || n.Maximum == nil || *n.Maximum != math.MaxUint32) {
		d.t.Errorf("%s: a uint32 without its range", where)
	}
}

func (d *drift) compareStruct(where string, goType reflect.Type, n node) {
	if d.done[goType] {
		return
	}
	d.done[goType] = true
	if string(n.Additional) != "false" {
		d.t.Errorf("%s: the schema allows unknown keys", where)
	}
	var known []string
	for _, f := range reflect.VisibleFields(goType) {
		if f.Anonymous {
			continue
		}
		key, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if inYAML := f.Tag.Get("yaml"); inYAML != "" && inYAML != key {
			d.t.Errorf("%s.%s is %q in JSON and %q in YAML", where, f.Name, key, inYAML)
		}
		property, ok := n.Properties.of[key]
		if !ok {
			if !d.narrow {
				d.t.Errorf("%s: the schema lacks %q", where, key)
			}
			continue
		}
		known = append(known, key)
		if required := !strings.Contains(options, "omitempty"); !d.narrow && required != slices.Contains(n.Required, key) {
			d.t.Errorf("%s.%s: required in Go is %t, in the schema %t", where, key, required, !required)
		}
		d.compare(where+"."+key, f.Type, property)
	}
	if !slices.Equal(n.Properties.order, known) {
		d.t.Errorf("%s: the schema's keys are %q, Go's are %q; the order is that of the bytes", where, n.Properties.order, known)
	}
	for _, key := range n.Required {
		if !slices.Contains(known, key) {
			d.t.Errorf("%s: the schema requires %q, which Go does not have", where, key)
		}
	}
}
