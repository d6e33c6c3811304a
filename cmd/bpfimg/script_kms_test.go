// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"

	"github.com/bpfimg/bpfimg/sign"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

// kmsPlugin is the program sigstore-kms-file of scripts: a key management
// service whose keys are cosign's files, with the password that scripts have.
func kmsPlugin() {
	args, err := handler.GetPluginArgs(os.Args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	signer, err := loadPluginKey(args.InitOptions.KeyResourceID)
	if err != nil {
		err = handler.WriteErrorResponse(os.Stdout, err)
	} else {
		_, err = handler.Dispatch(os.Stdout, os.Stdin, args, pluginKey{signer})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func loadPluginKey(path string) (signature.SignerVerifier, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return sign.LoadKey(pem, []byte("test"))
}

// pluginKey is what the plugin protocol's server wants.
type pluginKey struct{ signature.SignerVerifier }

func (pluginKey) CreateKey(context.Context, string) (crypto.PublicKey, error) {
	return nil, errors.ErrUnsupported
}

func (pluginKey) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errors.ErrUnsupported
}

func (pluginKey) SupportedAlgorithms() []string { return []string{"ecdsa-p256"} }

func (pluginKey) DefaultAlgorithm() string { return "ecdsa-p256" }
