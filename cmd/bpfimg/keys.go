// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/urfave/cli/v2"
)

func generateKeyPairCommand(t *terminal) *cli.Command {
	return &cli.Command{
		Name:  "generate-key-pair",
		Usage: "make cosign.key (encrypted) and cosign.pub in cosign's own format",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output-key-prefix", Value: "cosign", Usage: "write PREFIX.key and PREFIX.pub"},
		},
		Action: func(c *cli.Context) error {
			prefix := c.String("output-key-prefix")
			password, err := t.password(c.Context, "Password for the new private key: ", true)
			if err != nil {
				return err
			}
			pair, err := sign.GenerateKeyPair(password)
			if err != nil {
				return fmt.Errorf("generating a key pair: %w", err)
			}
			if err := writeNew(prefix+".key", pair.PrivatePEM, 0o600); err != nil {
				return err
			}
			if err := writeNew(prefix+".pub", pair.PublicPEM, 0o644); err != nil {
				return joined.Errors(err, os.Remove(prefix+".key"))
			}
			t.notice("private key written to %s.key", prefix)
			t.notice("public key written to %s.pub", prefix)
			return nil
		},
	}
}

// writeNew refuses to overwrite: losing a private key cannot be undone.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: move it away, or give another --output-key-prefix", path)
	}
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err != nil {
		return joined.Errors(err, f.Close(), os.Remove(path))
	}
	return f.Close()
}

// loadSigner reads and decrypts the private key at path.
func (t *terminal) loadSigner(ctx context.Context, path string) (signature.SignerVerifier, error) {
	if path == "" {
		return nil, usagef("signing needs --key: make one with `bpfimg generate-key-pair`")
	}
	pem, err := t.keyText(path, sign.MaxKey)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	password, err := t.password(ctx, "Password for "+safe(path)+": ", false)
	if err != nil {
		return nil, err
	}
	signer, err := sign.LoadKey(pem, password)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", path, err)
	}
	return signer, nil
}

// readSmall reads a key or a build file, refusing one over [maxSecret]×16.
func readSmall(path string) ([]byte, error) {
	return limited.ReadFile(path, maxSecret<<4)
}
