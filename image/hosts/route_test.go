// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"errors"
	"strings"
	"testing"
)

func parse(t testing.TB, text string) *Hosts {
	t.Helper()
	h, err := Parse("config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestRoute: which entry counts, and what becomes of the reference.
func TestRoute(t *testing.T) {
	t.Parallel()
	h := parse(t, `
registries:
- {prefix: example.com, location: e.internal}
- {prefix: example.com/net, location: "n.internal:5000/x"}
- {prefix: example.com/net/tool, blocked: true}
- {prefix: "example.com:5000", location: port.internal}
- {prefix: "*.example.com", location: w.internal}
- {prefix: "*.b.example.com", location: wb.internal}
- {prefix: "*.example.com/deep/path", location: wp.internal/p}
- {prefix: "*.example.com:8443", location: w8443.internal}
- {prefix: a.b.example.com, location: ab.internal}
- {prefix: index.docker.io, mirrors: [{location: "mirror:5000"}, {location: other/hub, digests-only: true}]}
- {prefix: "*.evil.example", blocked: true}
- {prefix: evil.example, blocked: true}
- {prefix: "[::1]:5000", location: v6.internal}
- {prefix: "[2001:DB8:0::5]", blocked: true}
- {prefix: 192.0.2.7, blocked: true}
- {prefix: bare.example/a, location: bare.internal}
`)
	for _, test := range []struct{ registry, repository, want string }{
		{"other.com", "a", "other.com/a"},
		{"example.com", "a", "e.internal/a"},
		{"EXAMPLE.com", "a", "e.internal/a"},
		{"example.com:443", "a", "e.internal/a"},
		{"example.com:0443", "a", "e.internal/a"},
		{"example.com:5000", "a", "port.internal/a"},
		{"example.com:5001", "a", "example.com:5001/a"},
		{"myexample.com", "a", "myexample.com/a"},
		{"example.com", "net", "n.internal:5000/x"},
		{"example.com", "net/a/b", "n.internal:5000/x/a/b"},
		{"example.com", "network/a", "e.internal/network/a"},
		{"example.com", "net/tool", "blocked"},
		{"example.com", "net/tool/a", "blocked"},
		{"example.com", "net/tools", "n.internal:5000/x/tools"},
		{"x.example.com", "a", "w.internal/a"},
		{"x.example.com:5000", "a", "w.internal/a"},
		{"x.example.com:8443", "a", "w8443.internal/a"},
		{"x.b.example.com", "a", "wb.internal/a"},
		{"a.b.example.com", "a", "ab.internal/a"},
		{"a.b.example.com", "deep/path/a", "wp.internal/p/a"},
		{"b.example.com", "a", "w.internal/a"},
		{"docker.io", "library/a", "mirror:5000/library/a other/hub/library/a! docker.io/library/a"},
		{"evil.example", "a", "blocked"},
		{"evil.example:443", "a", "blocked"},
		{"x.Evil.Example:99", "a", "blocked"},
		{"[::1]:5000", "a", "v6.internal/a"},
		{"[::1]:5001", "a", "[::1]:5001/a"},
		{"[0:0:0:0:0:0:0:1]:5000", "a", "v6.internal/a"},
		{"[2001:db8::5]", "a", "blocked"},
		{"[2001:0db8:0:0::5]:443", "a", "blocked"},
		{"[::ffff:192.0.2.7]", "a", "blocked"},
		{"192.0.2.70", "a", "192.0.2.70/a"},
		{"bare.example", "a", "nothing remains"},
	} {
		if got := describe(h.Route(test.registry, test.repository)); got != test.want {
			t.Errorf("%s/%s: got %q, want %q", test.registry, test.repository, got, test.want)
		}
	}
}

func describe(route Route, err error) string {
	switch {
	case errors.Is(err, ErrBlocked):
		return "blocked"
	case err != nil && strings.Contains(err.Error(), "nothing remains"):
		return "nothing remains"
	case err != nil:
		return err.Error()
	}
	var s strings.Builder
	for _, m := range route.Mirrors {
		s.WriteString(m.Name())
		if m.DigestsOnly {
			s.WriteString("!")
		}
		s.WriteString(" ")
	}
	return s.String() + route.Origin.Name()
}

// TestLogin: a host is talked to as the entry says that leads to it.
func TestLogin(t *testing.T) {
	t.Parallel()
	h := parse(t, `
registries:
- {prefix: moved.example, location: new.example, plain-http: true}
- {prefix: a.example, plain-http: true}
- {prefix: b.example, mirrors: [{location: mirror.example/b, plain-http: true}]}
- {prefix: bad.example, blocked: true}
`)
	for host, want := range map[string]bool{
		"a.example": true, "b.example": false, "mirror.example": true, "mirror.example:443": true,
		"new.example": true, "moved.example": false, "c.example": false,
	} {
		at, err := h.Login(host)
		if err != nil || at.Registry != host || at.PlainHTTP() != want {
			t.Errorf("%s: got %v, %v, want plain http %t", host, at, err, want)
		}
	}
	if _, err := h.Login("bad.example"); !errors.Is(err, ErrBlocked) {
		t.Errorf("got %v, want ErrBlocked", err)
	}
}

// TestParseRefuses: mistakes, and where they are.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	entry := func(s string) string { return "registries:\n- {" + s + "}\n" }
	for _, test := range []struct{ text, want string }{
		{"registries:\n- prefix: a.example\n  bloked: true\n", `line 3: unknown key "bloked"; known here: prefix, location, blocked`},
		{"registry: []\n", `line 1: unknown key "registry"; known here: registries`},
		{entry("prefix: a.example, mirrors: [{location: b.example, digest-only: true}]"), `unknown key "digest-only"; known here: location, digests-only`},
		{"registries: {}\n", "cannot unmarshal"},
		{"registries: []\n---\nregistries: []\n", "line 2: a second document begins"},
		{"registries: [\n", "line"},
		{"registries: []\nregistries: []\n", `already defined`},
		{"# " + strings.Repeat("x", MaxSettings), "over the limit of 131072 bytes"},
		{"registries: [" + strings.Repeat("{},", 1025) + "]", "1025 registries are over the limit of 1024"},
		{entry("location: a.example"), "entry 1 (prefix \"\"): prefix is missing"},
		{entry(`prefix: "https://a.example"`), `drop "https://"`},
		{entry(`prefix: "a.example/x:v1"`), "is not the path of a repository"},
		{entry(`prefix: "a.example/"`), "is not the path of a repository"},
		{entry(`prefix: "a.example/X"`), "lower-case"},
		{entry(`prefix: "a.example:0"`), "not between 1 and 65535"},
		{entry(`prefix: "a.example:99999"`), "not between 1 and 65535"},
		{entry(`prefix: "*"`), "a * may only stand for whole names"},
		{entry(`prefix: "*.*.example"`), "a * may only stand for whole names"},
		{entry(`prefix: "a.*.example"`), "a * may only stand for whole names"},
		{entry(`prefix: "../x"`), "is not a HOST"},
		{entry(`prefix: a.example, location: "b/../c"`), "location:"},
		{entry("prefix: A.example") + "- {prefix: 'a.example:443'}\n", "entry 2 (prefix \"a.example:443\"): entry 1 has the same prefix"},
		{entry("prefix: a.example, blocked: true, mirrors: [{location: b.example}]"), "blocked stands alone"},
		{entry("prefix: a.example, blocked: true, plain-http: true"), "blocked stands alone"},
		{entry("prefix: a.example, ca-only: true"), "ca-only needs ca"},
		{entry("prefix: a.example, cert: c.pem"), "cert and key need each other"},
		{entry("prefix: a.example, key: c.pem"), "cert and key need each other"},
		{entry("prefix: a.example, mirrors: [{location: b.example, key: k}]"), "mirror 1: cert and key need each other"},
		{entry("prefix: a.example, mirrors: [{digests-only: true}]"), "mirror 1: location: want HOST"},
		{entry("prefix: a.example, mirrors: [" + strings.Repeat("{location: b.example},", 17) + "]"), "17 mirrors are over the limit of 16"},
		{entry(`prefix: a.example, proxy: "ftp://u:hush@p"`), "proxy: want SCHEME://"},
		{entry(`prefix: a.example, proxy: "http://u:hush@p/x"`), "proxy: want SCHEME://"},
		{entry(`prefix: a.example, proxy: "http://u:hush@p:%zz"`), "proxy: want SCHEME://"},
		{entry("prefix: " + strings.Repeat("a", 256)), "longer than 255"},
	} {
		_, err := Parse("config.yaml", []byte(test.text))
		if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.80q: got %v, want %q", test.text, err, test.want)
		}
	}
	for _, text := range []string{"", "# nothing\n", "registries:\n", "registries: []\n", "registries: [{prefix: a.example, proxy: ''}]"} {
		if _, err := Parse("config.yaml", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzParse: whatever the file says, routes are names that can be asked for.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"registries: [{prefix: a.example, location: b.example/c, mirrors: [{location: 'm:5000', proxy: 'socks5://p:1'}]}]",
		"registries: [{prefix: '*.example', blocked: true}]",
		"registries: [{prefix: a.example/b, ca: x, ca-only: true, cert: c, key: k, plain-http: true}]",
		"a: &a [*a]",
	} {
		f.Add([]byte(s), "a.example", "b/c")
	}
	f.Fuzz(func(t *testing.T, data []byte, registry, repository string) {
		h, err := Parse("config.yaml", data)
		if err != nil {
			return
		}
		if _, err := parseSite(registry + "/" + repository); err != nil {
			return
		}
		route, err := h.Route(registry, repository)
		if err != nil {
			return
		}
		for _, m := range append(route.Mirrors, Mirror{Place: route.Origin}) {
			host, path, found := strings.Cut(m.Name(), "/")
			if !found || !hostPattern().MatchString(host) || !pathPattern().MatchString(path) {
				t.Errorf("%s/%s leads to %q", registry, repository, m.Name())
			}
		}
	})
}
