// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/urfave/cli/v2"
)

func publicKeyCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "public-key",
		Usage: "print the public key of a private one",
		Flags: []cli.Flag{keyFlag("private key: a file, env://NAME for the variable NAME, or NAME://KEY for the plugin sigstore-kms-NAME"), timeoutFlag()},
		Action: func(c *cli.Context) error {
			if c.String("key") == "" || c.NArg() > 0 {
				return usagef("public-key: want --key KEY and no arguments")
			}
			ctx, cancel := context.WithTimeout(c.Context, c.Duration("timeout"))
			defer cancel()
			signer, err := term.loadKey(ctx, c.String("key"))
			if err != nil {
				return err
			}
			public, err := signer.PublicKey(options.WithContext(ctx))
			if err != nil {
				return fmt.Errorf("reading the public key: %w", err)
			}
			pem, err := cryptoutils.MarshalPublicKeyToPEM(public)
			if err != nil {
				return fmt.Errorf("encoding the public key: %w", err)
			}
			_, err = term.out.Write(pem)
			return err
		},
	}
}
