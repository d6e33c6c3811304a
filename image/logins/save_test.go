// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package logins

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func (p *person) save(registry, user string) Kept {
	p.t.Helper()
	kept, err := p.logins().Save(p.t.Context(), registry, user, secret)
	if err != nil {
		p.t.Fatal(err)
	}
	return kept
}

func (p *person) erase(registry string) []string {
	p.t.Helper()
	from, err := p.logins().Erase(p.t.Context(), registry)
	if err != nil {
		p.t.Fatal(err)
	}
	return from
}

func (p *person) read(path string) map[string]any {
	p.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// TestSaveAndErase: into docker's file, with everything else in it kept.
func TestSaveAndErase(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	kept := p.save("a.example", "first")
	path := filepath.Join(p.home, ".docker", "config.json")
	if kept != (Kept{Where: path, Encoded: true}) {
		t.Errorf("kept %+v", kept)
	}
	for _, at := range []string{path, filepath.Dir(path)} {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", at, info.Mode(), err)
		}
	}
	other := `{"HttpHeaders":{"X":"1"},"big":12345678901234567890,"auths":{"b.example":{"auth":"` + auth("b") + `","email":"e"},` +
		`"https://a.example/v1/":{"auth":"` + auth("old") + `"},"a.example/net":{"auth":"` + auth("net") + `"}}}`
	if err := os.WriteFile(path, []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	p.save("a.example", "second")
	p.save("docker.io", "hub")
	want := map[string]any{}
	if err := json.Unmarshal([]byte(other), &want); err != nil {
		t.Fatal(err)
	}
	wantAuths := want["auths"].(map[string]any)
	delete(wantAuths, "https://a.example/v1/")
	wantAuths["a.example"] = map[string]any{"auth": auth("second")}
	wantAuths["https://index.docker.io/v1/"] = map[string]any{"auth": auth("hub")}
	if got := p.read(path); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if data, _ := os.ReadFile(path); !strings.Contains(string(data), "12345678901234567890") {
		t.Error("a number was rounded")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.home, ".docker", "*-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	p.file(".config/containers/auth.json", auths("a.example", "podman"))
	if from := p.erase("a.example"); len(from) != 2 || p.user("a.example") != "" || p.user("a.example/net/x") != "net" || p.user("docker.io") != "hub" {
		t.Errorf("erased from %v", from)
	}
	if from := p.erase("a.example"); from != nil {
		t.Errorf("erased again from %v", from)
	}
}

// TestSaveFollowsLinks: people keep config.json elsewhere.
func TestSaveFollowsLinks(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	real := p.file("dotfiles/docker.json", "{}")
	if err := os.MkdirAll(filepath.Join(p.home, ".docker"), 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(p.home, ".docker", "config.json")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	p.save("a.example", "u")
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 || len(p.read(real)) != 1 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestHelpers: the secret goes to the helper and nowhere else.
func TestHelpers(t *testing.T) {
	for name, settings := range map[string]string{
		"for everything": `{"credsStore":"test"}`,
		"for one host":   `{"credsStore":"not-there","credHelpers":{"a.example":"test","https://index.docker.io/v1/":"test"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t)
			p.helper("test")
			path := p.file(".docker/config.json", settings)
			for _, host := range []string{"a.example", "docker.io"} {
				if kept := p.save(host, "u"); kept != (Kept{Where: "docker-credential-test"}) {
					t.Errorf("kept %+v", kept)
				}
				if got := p.user(host + "/x"); got != "u" {
					t.Errorf("%s: found %q", host, got)
				}
			}
			data, _ := os.ReadFile(path)
			if strings.Contains(string(data), auth("u")) || !strings.Contains(string(data), `"a.example": {}`) {
				t.Errorf("the file holds %s", data)
			}
			if from := p.erase("a.example"); !slices.Equal(from, []string{"docker-credential-test", path}) || p.user("a.example") != "" || p.user("docker.io") != "u" {
				t.Errorf("erased from %v", from)
			}
		})
	}
}

// TestSaveRefuses: what cannot be kept, and a file that would be lost.
func TestSaveRefuses(t *testing.T) {
	t.Parallel()
	p := newPerson(t)
	path := p.file(".docker/config.json", "{ not json")
	if _, err := p.logins().Save(t.Context(), "a.example", "u", secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(path); string(data) != "{ not json" {
		t.Errorf("the file is now %q", data)
	}
	for _, pair := range [][2]string{{"", "p"}, {"u", ""}, {"u:v", "p"}, {"u", "p\n"}, {"u\x00", "p"}} {
		if _, err := newPerson(t).logins().Save(t.Context(), "a.example", pair[0], pair[1]); err == nil {
			t.Errorf("%q was kept", pair)
		}
	}
}

// TestPeersOfDocker: they also read what we keep for docker.
func TestPeersOfDocker(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("skopeo"); err != nil {
		t.Skip("SKIP-REASON: skopeo is not installed: runs where it is")
	}
	p := newPerson(t)
	for _, host := range []string{"a.example", "docker.io"} {
		cmd := exec.CommandContext(t.Context(), "skopeo", "login", "--get-login", host)
		p.save(host, "u")
		cmd.Env = []string{"HOME=" + p.home, "XDG_RUNTIME_DIR=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "u" {
			t.Errorf("%s: %v, %s", host, err, out)
		}
	}
}

// TestPeers: podman and skopeo read what we keep, and their logout is ours.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, peer := range []string{"podman", "skopeo"} {
		t.Run(peer, func(t *testing.T) {
			if _, err := exec.LookPath(peer); err != nil {
				t.Skipf("SKIP-REASON: %s is not installed: runs where it is", peer)
			}
			p := newPerson(t)
			p.env["REGISTRY_AUTH_FILE"] = filepath.Join(p.home, "auth.json")
			for host, user := range map[string]string{"a.example:5000": "u", "docker.io": "hub"} {
				kept := p.save(host, user)
				cmd := exec.CommandContext(t.Context(), peer, "login", "--authfile", kept.Where, "--get-login", host)
				out, err := cmd.CombinedOutput()
				if err != nil || strings.TrimSpace(string(out)) != user {
					t.Errorf("%s: %v, %s", host, err, out)
				}
				if out, err := exec.CommandContext(t.Context(), peer, "logout", "--authfile", kept.Where, host).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
				if got := p.user(host); got != "" {
					t.Errorf("%s: %q is left", host, got)
				}
			}
		})
	}
}
