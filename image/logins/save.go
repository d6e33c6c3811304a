// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
)

// Kept says where [Logins.Save] put credentials.
type Kept struct {
	// Where is a file or a helper program.
	Where string
	// Encoded says that they are in the file as they are, for everybody to read who
	// can read the file.
	Encoded bool
}

// Save keeps credentials for a registry (host[:port]) where docker does: in the
// helper that REGISTRY_AUTH_FILE or else docker's config.json names, or else in
// that file itself, which only its owner may read. Everything else in the file
// stays. The file is replaced as a whole or not at all.
func (l *Logins) Save(ctx context.Context, registry, user, password string) (Kept, error) {
	if user == "" || password == "" || strings.Contains(user, ":") || strings.ContainsAny(user+password, "\x00\n\r") {
		return Kept{}, errors.New("a user name and a password are needed, of one line each and without a colon in the name")
	}
	path, err := l.target()
	if err != nil {
		return Kept{}, err
	}
	f, err := readFile(path)
	if err != nil {
		return Kept{}, err
	}
	name := hubName(registry)
	helper := f.helper(name)
	kept := Kept{Where: path, Encoded: true}
	value := map[string]string{}
	if helper != "" {
		if err := helperStore(ctx, helper, ownKey(name), user, password); err != nil {
			return Kept{}, fmt.Errorf("keeping the credentials for %s: %s names a credential helper: %w", registry, path, err)
		}
		kept = Kept{Where: helperPrefix + helper}
	} else {
		value["auth"] = base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	for _, key := range f.keys(name) {
		delete(f.auths, key)
	}
	if f.auths[l.newKey(name)], err = json.Marshal(value); err != nil {
		return Kept{}, err
	}
	if err := f.write(); err != nil {
		return Kept{}, fmt.Errorf("keeping the credentials for %s: %w", registry, err)
	}
	return kept, nil
}

// newKey is what the file's owner calls the registry: podman, whose variable names
// the file, has no special key for Docker Hub, and would not erase docker's.
func (l *Logins) newKey(name string) string {
	if l.env(envFile) != "" {
		return name
	}
	return ownKey(name)
}

// Erase removes the credentials of a registry (host[:port]) from every file that
// is looked at and the helpers these name, and says from which. Those of paths below
// it, and DOCKER_AUTH_CONFIG, are left alone.
func (l *Logins) Erase(ctx context.Context, registry string) (from []string, err error) {
	name := hubName(registry)
	for _, path := range l.files() {
		f, err := readFile(path)
		if err != nil {
			return from, err
		}
		if helper := f.helper(name); helper != "" {
			erased, err := eraseHelper(ctx, helper, ownKey(name))
			if err != nil {
				return from, fmt.Errorf("erasing the credentials for %s: %s names a credential helper: %w", registry, path, err)
			}
			if erased {
				from = append(from, helperPrefix+helper)
			}
		}
		keys := f.keys(name)
		if len(keys) == 0 {
			continue
		}
		for _, key := range keys {
			delete(f.auths, key)
		}
		if err := f.write(); err != nil {
			return from, fmt.Errorf("erasing the credentials for %s: %w", registry, err)
		}
		from = append(from, path)
	}
	return from, nil
}

// eraseHelper asks first: helpers differ in what they say of nothing to erase.
func eraseHelper(ctx context.Context, helper, server string) (bool, error) {
	known, err := helperGet(ctx, helper, server)
	if err != nil || known == nil {
		return false, err
	}
	if err := helperErase(ctx, helper, server); err != nil && !errors.Is(err, errMissing) {
		return false, err
	}
	return true, nil
}

// write replaces the file, or what it links to.
func (f *file) write() error {
	auths, err := json.Marshal(f.auths)
	if err != nil {
		return err
	}
	f.all[keyAuths] = auths
	data, err := json.MarshalIndent(f.all, "", "\t")
	if err != nil {
		return err
	}
	path := f.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.WriteDurably(path, append(data, '\n'), 0o600) // only its owner can read it
}
