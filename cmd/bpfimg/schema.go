// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func schemaCommand(term *terminal) *cli.Command {
	names := strings.Join(schemas.JSONSchemaNames(), "|")
	return &cli.Command{
		Name:      "schema",
		Usage:     "print the JSON Schema of a document that bpfimg writes or reads",
		ArgsUsage: names,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("schema: want one of %s, got %d arguments", names, c.NArg())
			}
			data, err := schemas.JSONSchema(c.Args().First())
			if err != nil {
				return usageError{err}
			}
			_, err = term.out.Write(data)
			return err
		},
	}
}
