// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/google/go-containerregistry/pkg/authn"
)

// maxFile bounds a login file, in bytes.
const maxFile = 1 << 20

// The keys of a login file that count here (docker/cli, configfile/file.go).
const (
	keyAuths   = "auths"
	keyStore   = "credsStore"
	keyHelpers = "credHelpers"
)

// file is a docker config.json or podman auth.json.
type file struct {
	// where says which, for errors; path is "" for a variable.
	where, path string
	// all is the whole document, unknown keys included.
	all     map[string]json.RawMessage
	auths   map[string]json.RawMessage
	store   string
	helpers map[string]string
}

// entry is one of the auths.
type entry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// readFile reads the file at path; none is an empty one.
func readFile(path string) (*file, error) {
	data, err := readLimited(path)
	if errors.Is(err, os.ErrNotExist) {
		data = nil
	} else if err != nil {
		return nil, fmt.Errorf("reading credentials: %w", err)
	}
	f, err := parseFile(path, data)
	if err != nil {
		return nil, err
	}
	f.path = path
	return f, nil
}

func readLimited(path string) ([]byte, error) {
	if path == os.DevNull { // how to say that there are none
		return nil, nil
	}
	f, err := limited.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is over the limit of %d bytes", path, maxFile)
	}
	return data, err
}

// parseFile reads the content of a login file. Errors do not repeat any of it.
func parseFile(where string, data []byte) (*file, error) {
	f := &file{where: where, all: map[string]json.RawMessage{}, auths: map[string]json.RawMessage{}}
	if len(data) > maxFile {
		return nil, fmt.Errorf("credentials in %s: over the limit of %d bytes", where, maxFile)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return f, nil
	}
	if boundedjson.Unmarshal(data, &f.all) != nil || f.all == nil {
		return nil, fmt.Errorf("credentials in %s: it is no JSON object", where)
	}
	for key, to := range map[string]any{keyAuths: &f.auths, keyStore: &f.store, keyHelpers: &f.helpers} {
		if raw, ok := f.all[key]; ok && boundedjson.Unmarshal(raw, to) != nil {
			return nil, fmt.Errorf("credentials in %s: %q is not what docker or podman write there", where, key)
		}
	}
	if f.auths == nil { // "auths": null
		f.auths = map[string]json.RawMessage{}
	}
	return f, nil
}

// helper is the program that keeps the credentials of name; "" without one.
func (f *file) helper(name string) string {
	for _, key := range slices.Sorted(maps.Keys(f.helpers)) {
		if keyName(key) == name {
			return f.helpers[key]
		}
	}
	return f.store
}

// find returns the credentials of the first of names there are some for.
func (f *file) find(ctx context.Context, names []string) (*Login, error) {
	for _, name := range names {
		// A helper for everything knows hosts; one for a path is named in full.
		if helper := f.helper(name); helper != "" && (!strings.Contains(name, "/") || helper != f.store) {
			login, err := f.ask(ctx, helper, name)
			if login != nil || err != nil {
				return login, err
			}
		}
		login, err := f.entry(name)
		if login != nil || err != nil {
			return login, err
		}
	}
	return nil, nil
}

func (f *file) ask(ctx context.Context, helper, name string) (*Login, error) {
	auth, err := helperGet(ctx, helper, ownKey(name))
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %s names a credential helper: %w", name, f.where, err)
	}
	if auth == nil {
		return nil, nil
	}
	return &Login{Registry: name, Username: auth.Username, Where: helperPrefix + helper, auth: *auth}, nil
}

// keys are those of the auths that name name, docker's own first.
func (f *file) keys(name string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(f.auths)) {
		switch {
		case keyName(key) != name:
		case key == ownKey(name):
			keys = slices.Insert(keys, 0, key)
		default:
			keys = append(keys, key)
		}
	}
	return keys
}

// entry reads the auths.
func (f *file) entry(name string) (*Login, error) {
	for _, key := range f.keys(name) {
		var e entry
		if boundedjson.Unmarshal(f.auths[key], &e) != nil {
			return nil, fmt.Errorf("credentials in %s: those of %q are malformed", f.where, key)
		}
		if e == (entry{}) {
			continue // what is left when a helper has them
		}
		auth, ok := e.config()
		if !ok {
			return nil, fmt.Errorf("credentials in %s: those of %q are malformed: auth is the base64 form of USER:PASSWORD", f.where, key)
		}
		return &Login{Registry: name, Username: auth.Username, Where: f.where, auth: auth}, nil
	}
	return nil, nil
}

func (e entry) config() (authn.AuthConfig, bool) {
	auth := authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth == "" {
		return auth, true
	}
	plain, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return auth, false
	}
	user, password, ok := strings.Cut(string(plain), ":")
	if !ok || user == "" {
		return auth, false
	}
	// docker fills the text up with zero bytes, as others do.
	auth.Username, auth.Password = user, strings.Trim(password, "\x00")
	return auth, true
}
