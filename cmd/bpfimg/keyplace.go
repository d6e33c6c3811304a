// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/verify"
)

// envKey begins a key that is in an environment variable, as cosign has it for CI.
const envKey = "env://"

// notTaken are the places of keys that cosign knows and bpfimg does not, with what to
// do instead. Nothing is fetched to decide whom to trust.
var notTaken = []struct{ prefix, instead string }{
	{"https://", "download it once, see that it is the right one, and give the file"},
	{"http://", "get it over a channel that you trust, and give the file"},
	{"k8s://", "write it into a file with `kubectl get secret`, or into a variable and give env://NAME"},
	{"gitlab://", "let the CI job have it as a variable, and give env://NAME"},
	{"github://", "let the workflow have it as a variable, and give env://NAME"},
	{"pkcs11:", "a token needs a plugin of sigstore's, sigstore-kms-NAME, and NAME://KEY"},
}

// checkPlace refuses a key that is in a place bpfimg does not read. What it says
// repeats no key and no password.
func checkPlace(key string) error {
	if strings.Contains(key, "-----BEGIN") {
		return usagef("--key: this is the key itself, which everyone on the machine can read in the list of processes: give the name of a file, or env://NAME")
	}
	for _, place := range notTaken {
		if strings.HasPrefix(key, place.prefix) { // what follows may hold a password
			return usagef("--key %s…: keys are not read from there: %s", place.prefix, place.instead)
		}
	}
	return nil
}

// keyText reads what is in a key file or, with env://NAME, in a variable. Errors
// repeat nothing of it.
func (t *terminal) keyText(key string, limit int64) ([]byte, error) {
	name, ok := strings.CutPrefix(key, envKey)
	if !ok {
		return limited.ReadFile(key, limit)
	}
	text, _ := t.lookup(name)
	switch {
	case text == "":
		return nil, usagef("--key %s: the variable %s is not set, or empty", key, name)
	case int64(len(text)) > limit:
		return nil, fmt.Errorf("%s: over the limit of %d bytes", key, limit)
	}
	return []byte(text), nil
}

// publicKey reads the key to verify with.
func (t *terminal) publicKey(key string) (verify.Key, error) {
	if err := checkPlace(key); err != nil {
		return verify.Key{}, err
	}
	if sign.IsKMS(key) && !strings.HasPrefix(key, envKey) {
		return verify.Key{}, usagef("--key %s: nothing is asked to decide whom to trust: write the public key into a file once, with `bpfimg public-key --key %s >cosign.pub`, and give that", key, key)
	}
	text, err := t.keyText(key, verify.MaxKey)
	if err != nil {
		return verify.Key{}, fmt.Errorf("public key: %w", err)
	}
	return verify.ParseKey(text, key)
}
