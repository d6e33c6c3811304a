// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/handler"
)

// TestMain lets the test binary be a KMS plugin, when it is called like one.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "sigstore-kms-") {
		if err := pluginMain(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// pluginMain is a KMS whose keys are files. For the keys "empty" and "junk" it
// answers nonsense.
func pluginMain() error {
	args, err := handler.GetPluginArgs(os.Args)
	if err != nil {
		return err
	}
	if args.InitOptions.KeyResourceID == "empty" {
		fmt.Println("{}")
		return nil
	}
	if args.InitOptions.KeyResourceID == "junk" {
		fmt.Println("what?")
		return nil
	}
	private, err := readPrivate(args.InitOptions.KeyResourceID)
	if err != nil {
		return handler.WriteErrorResponse(os.Stdout, err)
	}
	hash := args.InitOptions.HashFunc
	if strings.HasSuffix(args.InitOptions.KeyResourceID, ".sha512") {
		hash = crypto.SHA512 // a service that is set up for another hash
	}
	signer, err := signature.LoadSignerVerifier(private, hash)
	if err != nil {
		return handler.WriteErrorResponse(os.Stdout, err)
	}
	_, err = handler.Dispatch(os.Stdout, os.Stdin, args, fileKMS{signer, hash})
	return err
}

// SignMessage signs with the key's own hash, whatever is asked for.
func (k fileKMS) SignMessage(message io.Reader, _ ...signature.SignOption) ([]byte, error) {
	return k.SignerVerifier.SignMessage(message)
}

func readPrivate(path string) (crypto.PrivateKey, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return cryptoutils.UnmarshalPEMToPrivateKey(pem, cryptoutils.SkipPassword)
}

// fileKMS is what the plugin protocol's server wants.
type fileKMS struct {
	signature.SignerVerifier
	hash crypto.Hash
}

func (k fileKMS) CreateKey(context.Context, string) (crypto.PublicKey, error) {
	return nil, errors.New("no keys are made here")
}

func (k fileKMS) CryptoSigner(context.Context, func(error)) (crypto.Signer, crypto.SignerOpts, error) {
	return nil, nil, errors.New("not in the protocol")
}
func (k fileKMS) SupportedAlgorithms() []string { return []string{"ecdsa"} }
func (k fileKMS) DefaultAlgorithm() string      { return "ecdsa" }

// pluginPath puts the plugin sigstore-kms-file on PATH, and nothing else.
func pluginPath(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "sigstore-kms-file")); err != nil {
		t.Skipf("SKIP-REASON: symbolic links cannot be made here: %v", err)
	}
	t.Setenv("PATH", dir)
	return dir
}

// keyFile writes a fresh private key to path.
func keyFile(t *testing.T, path string) {
	t.Helper()
	private, _, err := cryptoutils.GeneratePEMEncodedECDSAKeyPair(elliptic.P256(), cryptoutils.SkipPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestKMS(t *testing.T) {
	dir := pluginPath(t)
	key := filepath.Join(dir, "a.pem")
	keyFile(t, key)
	signer, err := sign.LoadKMS(t.Context(), "file://"+key)
	if err != nil {
		t.Fatal(err)
	}
	for _, legacy := range []bool{false, true} {
		repo := newMemory()
		repo.add("v1", `{}`)
		r, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), signer, sign.Options{Legacy: legacy})
		if err != nil {
			t.Fatal(err)
		}
		if r.Signature.Digest == "" {
			t.Error("no signature")
		}
	}
	public, err := signer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := readPrivate(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := cryptoutils.EqualKeys(public, private.(crypto.Signer).Public()); err != nil {
		t.Error(err)
	}
}

func TestKMSFailures(t *testing.T) {
	dir := pluginPath(t)
	other := filepath.Join(dir, "a.sha512")
	keyFile(t, other)
	for _, tt := range []struct{ key, want string }{
		{"gone://x", "sigstore-kms-gone is not on PATH"},
		{"../file://x", "want NAME://KEY"},
		{"://x", "want NAME://KEY"},
		{"file://empty", "not in the plugin protocol"},
		{"file://junk", "sigstore-kms-file"},
		{"file://" + filepath.Join(dir, "gone.pem"), "no such file"},
		{"file://" + other, "does not sign SHA-256"},
	} {
		t.Run(tt.key, func(t *testing.T) {
			signer, err := sign.LoadKMS(t.Context(), tt.key)
			if err == nil {
				repo := newMemory()
				repo.add("v1", `{}`)
				_, err = sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), signer, sign.Options{})
			}
			if !errors.Is(err, sign.ErrKMS) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if sign.IsKMS("dir/cosign.key") || !sign.IsKMS("awskms:///alias/x") {
		t.Error("a file is taken for a KMS key, or the other way round")
	}
}
