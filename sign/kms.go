// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// ErrKMS: a key in a key management service cannot be used; test with
// [errors.Is].
var ErrKMS = errors.New("cannot use the key management service")

// pluginName keeps what is run to a program on PATH.
var pluginName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// IsKMS says whether a key is named as NAME://…, as keys in a key management
// service are.
func IsKMS(key string) bool { return strings.Contains(key, "://") }

// LoadKMS returns the key NAME://… of a key management service. The plugin
// sigstore-kms-NAME, a program on PATH, is run for each operation, in
// sigstore's plugin protocol (sigstore/sigstore, pkg/signature/kms/cliplugin);
// no service's own library is linked here. It inherits the environment, for the
// service's credentials, and the deadline of ctx. The error wraps [ErrKMS].
func LoadKMS(ctx context.Context, key string) (signature.SignerVerifier, error) {
	name, _, _ := strings.Cut(key, "://")
	if !pluginName.MatchString(name) {
		return nil, fmt.Errorf("%w: key %q: want NAME://KEY, where NAME is lower-case letters, digits and dashes", ErrKMS, key)
	}
	plugin, err := cliplugin.LoadSignerVerifier(ctx, key, crypto.SHA256)
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%w: the plugin %s%s is not on PATH: install the one for %s", ErrKMS, cliplugin.PluginBinaryPrefix, name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKMS, name, err)
	}
	k := &kmsKey{name: name, plugin: plugin}
	if k.public, err = k.askPublic(ctx); err != nil {
		return nil, err
	}
	if k.Verifier, err = signature.LoadVerifier(k.public, crypto.SHA256); err != nil {
		return nil, fmt.Errorf("%w: %s: its public key: %w", ErrKMS, name, err)
	}
	return k, nil
}

// kmsKey signs through the plugin, and does all else with the public key here.
type kmsKey struct {
	signature.Verifier
	name   string
	plugin signature.SignerVerifier
	public crypto.PublicKey
}

// PublicKey implements [signature.SignerVerifier].
func (k *kmsKey) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return k.public, nil
}

func (k *kmsKey) askPublic(ctx context.Context) (public crypto.PublicKey, err error) {
	defer k.guard("reading the public key", &err)
	return k.plugin.PublicKey(options.WithContext(ctx))
}

// SignMessage implements [signature.SignerVerifier]. What the plugin made is
// checked: a signature of another form than verifiers expect is found here.
func (k *kmsKey) SignMessage(message io.Reader, opts ...signature.SignOption) (sig []byte, err error) {
	defer k.guard("signing", &err)
	data, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	if sig, err = k.plugin.SignMessage(bytes.NewReader(data), opts...); err != nil {
		return nil, err
	}
	if err := k.VerifySignature(bytes.NewReader(sig), bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("the key does not sign SHA-256 in the form of its kind (ECDSA, RSA PKCS#1 v1.5, Ed25519): %w", err)
	}
	return sig, nil
}

// guard says in errors which plugin failed at what. The library goes down with
// an answer that lacks its part.
func (k *kmsKey) guard(doing string, err *error) {
	if r := recover(); r != nil {
		*err = errors.New("its answer is not in the plugin protocol")
	}
	if *err != nil {
		*err = fmt.Errorf("%w: %s with %s%s: %w", ErrKMS, doing, cliplugin.PluginBinaryPrefix, k.name, *err)
	}
}
