// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"bytes"
	"testing"

	"github.com/bpfimg/bpfimg/sign"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// TestKeysAreCosigns lets cosign's own library read our key files, and ours its.
func TestKeysAreCosigns(t *testing.T) {
	t.Parallel()
	ours := keyPair(t)
	theirs, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte(password), nil })
	if err != nil {
		t.Fatal(err)
	}
	loadTheirs := func(pem []byte) (signature.SignerVerifier, error) {
		return cosign.LoadPrivateKey(pem, []byte(password), nil)
	}
	loadOurs := func(pem []byte) (signature.SignerVerifier, error) { return sign.LoadKey(pem, []byte(password)) }
	for _, test := range []struct {
		name            string
		private, public []byte
		load            func([]byte) (signature.SignerVerifier, error)
	}{
		{"ours read by cosign", ours.PrivatePEM, ours.PublicPEM, loadTheirs},
		{"cosign's read by us", theirs.PrivateBytes, theirs.PublicBytes, loadOurs},
	} {
		t.Run(test.name, func(t *testing.T) {
			signer, err := test.load(test.private)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := signer.SignMessage(bytes.NewReader([]byte("message")))
			if err != nil {
				t.Fatal(err)
			}
			public, err := cryptoutils.UnmarshalPEMToPublicKey(test.public)
			if err != nil {
				t.Fatal(err)
			}
			verifier, err := signature.LoadDefaultVerifier(public)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader([]byte("message"))); err != nil {
				t.Error("the public key file does not belong to the private one:", err)
			}
		})
	}
}
