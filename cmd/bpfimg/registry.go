// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"path/filepath"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/urfave/cli/v2"
)

func registryCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "registry",
		Usage: "a small OCI registry for people who have none",
		Subcommands: []*cli.Command{{
			Name:  "serve",
			Usage: "serve the registry until interrupted",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "address", Value: "127.0.0.1:5000", Usage: "host:port to listen on; port 0 picks a free one"},
				&cli.StringFlag{Name: "dir", Usage: "folder for the images", DefaultText: "registry below --root"},
				&cli.StringFlag{Name: "profile", Usage: "behave as the registry of this vendor; \"list\" names them all"},
			},
			Action: withSession(term, func(s *session) error {
				name := s.c.String("profile")
				if name == "list" {
					for _, p := range testregistry.Profiles() {
						fmt.Fprintf(term.out, "%-21s %s\n", p.Name, p.About)
					}
					return nil
				}
				profile, ok := testregistry.ProfileNamed(name)
				if !ok && name != "" {
					return usagef("there is no profile %q: see `bpfimg registry serve --profile list`", name)
				}
				dir := s.c.String("dir")
				if dir == "" {
					dir = filepath.Join(s.root, "registry")
				}
				registry, err := testregistry.New(testregistry.Options{Dir: dir, Log: s.log, Profile: profile})
				if err != nil {
					return err
				}
				return registry.Serve(s.c.Context, s.c.String("address"), func(address string) {
					fmt.Fprintf(term.out, "serving %s on http://%s\n", safe(dir), address)
				})
			}),
		}},
	}
}
