// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

const secret = "open:sesame"

func auth(user string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
}

// person is a home folder and an environment.
type person struct {
	t    *testing.T
	home string
	env  map[string]string
}

func newPerson(t *testing.T) *person {
	home := t.TempDir()
	return &person{t: t, home: home, env: map[string]string{"HOME": home}}
}

func (p *person) logins() *Logins {
	l := New(func(name string) (string, bool) { v, ok := p.env[name]; return v, ok })
	l.perUser = filepath.Join(p.home, "run-of-user", "auth.json") // not the machine's
	return l
}

// file writes content below home.
func (p *person) file(path, content string) string {
	p.t.Helper()
	path = filepath.Join(p.home, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// helper installs a credential helper that keeps what it is told in files.
func (p *person) helper(name string) {
	p.t.Helper()
	if runtime.GOOS == "windows" {
		p.t.Skip("SKIP-REASON: the helper of this test is a shell script: runs where there is a shell")
	}
	path := p.file("bin/docker-credential-"+name, `#!/bin/sh
key() { printf %s "$1" | tr -c 'a-z0-9.\n' _; }
in=$(cat)
case "$1" in
store) server=$(printf %s "$in" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/'); printf %s "$in" > "`+p.home+`/kept-$(key "$server")" ;;
get) f="`+p.home+`/kept-$(key "$in")"; if [ -f "$f" ]; then cat "$f"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm "`+p.home+`/kept-$(key "$in")" ;;
esac
`)
	if err := os.Chmod(path, 0o700); err != nil {
		p.t.Fatal(err)
	}
	p.t.Setenv("PATH", filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func (p *person) user(name string) string {
	p.t.Helper()
	login, err := p.logins().Find(p.t.Context(), name)
	if err != nil {
		p.t.Fatal(err)
	}
	if login == nil {
		return ""
	}
	if login.auth.Password != secret {
		p.t.Errorf("%s: the password is %q", name, login.auth.Password)
	}
	return login.Username
}

func auths(pairs ...string) string {
	all := map[string]map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = map[string]string{"auth": auth(pairs[i+1])}
	}
	data, _ := json.Marshal(map[string]any{"auths": all})
	return string(data)
}

// TestPlaces: which place counts.
func TestPlaces(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	p.file(".config/containers/auth.json", auths("a.example", "podman", "only.example", "podman"))
	if got := p.user("a.example/x"); got != "podman" {
		t.Errorf("podman's file: %q", got)
	}
	p.file(".docker/config.json", auths("a.example", "docker"))
	if got := p.user("a.example/x") + p.user("only.example/x"); got != "dockerpodman" {
		t.Errorf("docker's file first: %q", got)
	}
	p.env["DOCKER_CONFIG"] = filepath.Dir(p.file("other/config.json", auths("a.example", "other")))
	if got := p.user("a.example/x"); got != "other" {
		t.Errorf("DOCKER_CONFIG: %q", got)
	}
	p.file("run-of-user/auth.json", auths("only.example", "root"))
	if got := p.user("only.example/x"); got != "root" {
		t.Errorf("podman's file without XDG_RUNTIME_DIR: %q", got)
	}
	p.env["XDG_RUNTIME_DIR"] = p.home + "/run"
	if got := p.user("only.example/x"); got != "podman" {
		t.Errorf("podman's file without XDG_RUNTIME_DIR, which is set: %q", got)
	}
	p.file("run/containers/auth.json", auths("only.example", "runtime"))
	if got := p.user("only.example/x"); got != "runtime" {
		t.Errorf("XDG_RUNTIME_DIR: %q", got)
	}
	p.env["REGISTRY_AUTH_FILE"] = p.file("auth.json", auths("a.example", "named"))
	if got := p.user("a.example/x") + p.user("only.example/x"); got != "named" {
		t.Errorf("REGISTRY_AUTH_FILE alone: %q", got)
	}
	p.env["DOCKER_AUTH_CONFIG"] = auths("a.example", "content")
	if got := p.user("a.example/x"); got != "content" {
		t.Errorf("DOCKER_AUTH_CONFIG: %q", got)
	}
	p.env["REGISTRY_AUTH_FILE"] = p.home + "/none.json"
	if got := p.user("only.example"); got != "" {
		t.Errorf("a file that is not there: %q", got)
	}
}

// TestRootsPodman: where podman keeps what root logs in to.
func TestRootsPodman(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("SKIP-REASON: podman has this file on Linux only: runs there")
	}
	want := fmt.Sprintf("/run/containers/%d/auth.json", os.Getuid())
	if got := New(func(string) (string, bool) { return "", false }).files(); !slices.Contains(got, want) {
		t.Errorf("got %q, want %s among them", got, want)
	}
}

// TestNames: which entry of a file counts.
func TestNames(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	p.file(".docker/config.json", auths(
		"a.example", "host", "a.example/net", "net", "a.example/net/tool", "tool",
		"https://b.example/v2/", "url", "http://c.example", "plain",
		"https://index.docker.io/v1/", "hub", "d.example:5000", "port",
		"e.example/v1/", "v1", "f.example:5000/v2/", "v2", "g.example//", "slashes", "h.example/v1", "namespace", "http://i.example/v1", "old"))
	for name, want := range map[string]string{
		"a.example": "host", "a.example/x": "host", "a.example/net": "net", "a.example/net/x": "net", "a.example/network": "host",
		"a.example/net/tool": "tool", "b.example/x": "url", "c.example/x": "plain",
		"docker.io/library/x": "hub", "index.docker.io/library/x": "hub", "index.docker.io": "hub",
		"d.example/x": "", "d.example:5000/x": "port", "example/a.example": "",
		"e.example/x": "v1", "f.example:5000/x": "v2", "g.example/x": "slashes", "i.example/x": "old",
		"h.example/v1/x": "namespace", "h.example/x": "", "e.example/v1/x": "v1",
	} {
		if got := p.user(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestEntries: the forms of an entry, and files that are broken.
func TestEntries(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		`{"auths":{"a.example":{"username":"u","password":"` + secret + `"}}}`: "u",
		`{"auths":{"a.example":{"auth":"` + auth("u") + `"}}}`:                 "u",
		`{"auths":{"a.example":{}}}`:                                           "",
		`{"auths":null}`:                                                       "",
		``:                                                                     "",
		`{"auths":{"a.example":{},"https://a.example":{"auth":"` + auth("v") + `"}},"unknown":[1]}`: "v",
	} {
		p := newPerson(t)
		p.file(".docker/config.json", content)
		if got := p.user("a.example"); got != want {
			t.Errorf("%s: got %q, want %q", content, got, want)
		}
	}
	for _, content := range []string{
		`{`, `[]`, `null`, `{"auths":["` + secret + `"]}`, `{"auths":{"a.example":"` + secret + `"}}`,
		`{"auths":{"a.example":{"auth":"` + secret + `"}}}`, `{"credsStore":{}}`, `{"credHelpers":[]}`,
		`{"auths":{"a.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("sesame")) + `"}}}`,
		`{"credsStore":"../../bin/sh"}`, `{"credHelpers":{"a.example":"not-there"}}`, strings.Repeat(" ", maxFile+1),
	} {
		p := newPerson(t)
		path := p.file(".docker/config.json", content)
		_, err := p.logins().Find(t.Context(), "a.example")
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%.60s: got %v, want an error that names the file and no secret", content, err)
		}
	}
}

// TestTokens: what is no password reaches the keychain's user as what it is.
func TestTokens(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	p.file(".docker/config.json", `{"auths":{"a.example":{"identitytoken":"id"},"b.example":{"registrytoken":"reg"}}}`)
	for host, want := range map[string]authn.AuthConfig{"a.example": {IdentityToken: "id"}, "b.example": {RegistryToken: "reg"}, "c.example": {}} {
		a, err := p.logins().Resolve(resource(host))
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Authorization()
		if err != nil || *got != want {
			t.Errorf("%s: got %+v, %v", host, got, err)
		}
	}
}

type resource string

func (r resource) String() string      { return string(r) + "/x" }
func (r resource) RegistryStr() string { return string(r) }

// FuzzFile: no content is believed further than its form, none is repeated.
func FuzzFile(f *testing.F) {
	f.Add([]byte(auths("a.example", "u")))
	f.Add([]byte(`{"auths":{"https://a.example/v1/":{"auth":"dTpw","identitytoken":"x"}},"credHelpers":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseFile("x", data)
		if err != nil || file.store != "" || len(file.helpers) > 0 {
			return
		}
		_, _ = file.find(t.Context(), namesOf("a.example/b/c"))
	})
}
