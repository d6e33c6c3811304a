// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compare

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// Field is one fact of a Description that differs.
type Field struct {
	// Name is the key in the Description's JSON.
	Name string `json:"name"`
	// Old and New are its values there; absent where it has none.
	Old json.RawMessage `json:"old,omitempty"`
	New json.RawMessage `json:"new,omitempty"`
	// Added and Removed are the elements of a list that only one version has.
	// Old and New are absent then.
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`

	// list holds the elements while fields are collected.
	list []string
}

// fieldsOf lists the fields of a struct of package schemas that have a value, by
// their JSON keys and in their order, but skip. Whatever is added to the
// Description is compared without a change here.
func fieldsOf(v any, skip string) []Field {
	value := reflect.ValueOf(v)
	var out []Field
	for i := range value.NumField() {
		key, options, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		field := value.Field(i)
		if key == skip || strings.Contains(options, "omitempty") && field.IsZero() {
			continue
		}
		if field.Kind() == reflect.Slice && field.Type() != reflect.TypeFor[json.RawMessage]() {
			if list := elements(field); len(list) > 0 {
				out = append(out, Field{Name: key, list: list})
			}
			continue
		}
		data, err := json.Marshal(field.Interface())
		if err != nil {
			continue // the types of package schemas are made of what JSON has
		}
		out = append(out, Field{Name: key, New: data})
	}
	return out
}

// elements are the elements of a list: strings as they are, others as JSON.
func elements(list reflect.Value) []string {
	var out []string
	for i := range list.Len() {
		element := list.Index(i)
		if element.Kind() == reflect.String {
			out = append(out, element.String())
			continue
		}
		if data, err := json.Marshal(element.Interface()); err == nil {
			out = append(out, string(data))
		}
	}
	return out
}

// between lists the fields that differ, in the order of after and then before.
func between(before, after []Field) []Field {
	var out []Field
	for _, updated := range after {
		i := slices.IndexFunc(before, func(f Field) bool { return f.Name == updated.Name })
		var old Field
		if i >= 0 {
			old = before[i]
		}
		if f, differs := differ(updated.Name, old, updated); differs {
			out = append(out, f)
		}
	}
	for _, old := range before {
		if !slices.ContainsFunc(after, func(f Field) bool { return f.Name == old.Name }) {
			if f, differs := differ(old.Name, old, Field{}); differs {
				out = append(out, f)
			}
		}
	}
	return out
}

// differ compares the values, which [fieldsOf] left in New and list.
func differ(name string, old, updated Field) (Field, bool) {
	f := Field{Name: name, Added: without(updated.list, old.list), Removed: without(old.list, updated.list)}
	if string(old.New) != string(updated.New) {
		f.Old, f.New = old.New, updated.New
	}
	return f, len(f.Added)+len(f.Removed)+len(f.Old)+len(f.New) > 0
}

// without is what of list is not in other.
func without(list, other []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			out = append(out, s)
		}
	}
	return out
}
