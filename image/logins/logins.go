// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
)

// The environment variables that say where credentials are.
const (
	// envContent holds the content of a docker config.json (docker/cli, and CI
	// systems before it).
	envContent  = "DOCKER_AUTH_CONFIG"
	envFile     = "REGISTRY_AUTH_FILE"
	envDocker   = "DOCKER_CONFIG"
	envRuntime  = "XDG_RUNTIME_DIR"
	envSettings = "XDG_CONFIG_HOME"
)

// Logins are the places where credentials are kept. It is safe for concurrent use.
type Logins struct {
	lookup func(string) (string, bool)
	home   string
	// perUser is podman's file of who has no XDG_RUNTIME_DIR, as root in most
	// services and after sudo; "" where podman has none.
	perUser string
}

var (
	_ authn.Keychain        = (*Logins)(nil)
	_ authn.ContextKeychain = (*Logins)(nil)
)

// New uses an environment, such as [os.LookupEnv]. It reads no file yet.
func New(lookup func(string) (string, bool)) *Logins {
	l := &Logins{lookup: lookup}
	if home, ok := lookup("HOME"); ok && home != "" {
		l.home = home
	} else if home, err := os.UserHomeDir(); err == nil {
		l.home = home
	}
	if runtime.GOOS == "linux" { // containers/image, pkg/docker/config/config.go
		l.perUser = fmt.Sprintf("/run/containers/%d/auth.json", os.Getuid())
	}
	return l
}

// Login is what is known of one registry.
type Login struct {
	// Registry is host[:port], or with a path, what the credentials are for.
	Registry string
	// Username is "" with a token.
	Username string
	// Where they are: a file, a helper or a variable.
	Where string
	auth  authn.AuthConfig
}

// Resolve implements [authn.Keychain].
func (l *Logins) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return l.ResolveContext(context.Background(), target)
}

// ResolveContext implements [authn.ContextKeychain].
func (l *Logins) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	login, err := l.Find(ctx, target.String())
	if err != nil {
		return nil, err
	}
	if login == nil {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(login.auth), nil
}

// Find returns the credentials for name, host[:port] with or without a repository,
// from the first place that has some: DOCKER_AUTH_CONFIG; then REGISTRY_AUTH_FILE
// alone, or without it docker's config.json and podman's auth.json. nil if there
// are none. In a place those of a path count before those of the host.
func (l *Logins) Find(ctx context.Context, name string) (*Login, error) {
	names := namesOf(name)
	if content, ok := l.lookup(envContent); ok && content != "" {
		f, err := parseFile("the variable "+envContent, []byte(content))
		if err != nil {
			return nil, err
		}
		if login, err := f.find(ctx, names); login != nil || err != nil {
			return login, err
		}
	}
	for _, path := range l.files() {
		f, err := readFile(path)
		if err != nil {
			return nil, err
		}
		if login, err := f.find(ctx, names); login != nil || err != nil {
			return login, err
		}
	}
	return nil, nil
}

// files are the paths to look at, first one first.
func (l *Logins) files() []string {
	if path := l.env(envFile); path != "" {
		return []string{path}
	}
	var paths []string
	if path := l.dockerFile(); path != "" {
		paths = append(paths, path)
	}
	if dir := l.env(envRuntime); dir != "" {
		paths = append(paths, filepath.Join(dir, "containers", "auth.json"))
	} else if l.perUser != "" {
		paths = append(paths, l.perUser)
	}
	if dir := l.env(envSettings); dir != "" {
		paths = append(paths, filepath.Join(dir, "containers", "auth.json"))
	} else if l.home != "" {
		paths = append(paths, filepath.Join(l.home, ".config", "containers", "auth.json"))
	}
	return paths
}

func (l *Logins) dockerFile() string {
	if dir := l.env(envDocker); dir != "" {
		return filepath.Join(dir, "config.json")
	}
	if l.home == "" {
		return ""
	}
	return filepath.Join(l.home, ".docker", "config.json")
}

func (l *Logins) env(name string) string {
	v, _ := l.lookup(name)
	return v
}

// target is the file that new credentials go to, or into the helper it names.
func (l *Logins) target() (string, error) {
	if path := l.env(envFile); path != "" {
		return path, nil
	}
	if path := l.dockerFile(); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("no home folder to keep credentials in: set %s or %s", envDocker, envFile)
}
