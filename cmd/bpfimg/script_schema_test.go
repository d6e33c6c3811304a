// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// cmdValid holds a JSON file to a published schema: valid SCHEMA FILE.
func cmdValid(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: valid SCHEMA FILE")
	}
	parse := func(text string) any {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		ts.Check(err)
		return doc
	}
	text, err := schemas.JSONSchema(args[0])
	ts.Check(err)
	const url = "mem:schema"
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	ts.Check(c.AddResource(url, parse(string(text))))
	schema, err := c.Compile(url)
	ts.Check(err)
	err = schema.Validate(parse(ts.ReadFile(args[1])))
	if neg && err == nil {
		ts.Fatalf("%s is a valid %s", args[1], args[0])
	}
	if !neg {
		ts.Check(err)
	}
}
