// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
)

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	basic := challenge{"basic", map[string]string{"realm": "r"}}
	bearer := challenge{"bearer", map[string]string{"realm": "https://a/token", "service": "s"}}
	for name, row := range map[string]struct {
		headers []string
		want    []challenge
	}{
		"one":              {[]string{`Basic realm="r"`}, []challenge{basic}},
		"two headers":      {[]string{`Basic realm="r"`, `Bearer realm="https://a/token",service="s"`}, []challenge{basic, bearer}},
		"one header":       {[]string{`Basic realm="r", Bearer realm="https://a/token", service="s"`}, []challenge{basic, bearer}},
		"the other order":  {[]string{`bearer Realm="https://a/token" ,service=s,BASIC realm = r`}, []challenge{bearer, basic}},
		"without quotes":   {[]string{`Bearer realm=https://a/token,service=s`}, []challenge{bearer}},
		"escapes":          {[]string{`Basic realm="a \"b\", Bearer realm=\"c\""`}, []challenge{{"basic", map[string]string{"realm": `a "b", Bearer realm="c"`}}}},
		"token68":          {[]string{`Negotiate YWJj/ZGVm==, Basic realm="r"`}, []challenge{{"negotiate", map[string]string{}}, basic}},
		"a scheme alone":   {[]string{`Negotiate, Basic realm="r"`, "NTLM"}, []challenge{{"negotiate", map[string]string{}}, basic, {"ntlm", map[string]string{}}}},
		"twice the realm":  {[]string{`Basic realm="r",realm="other"`}, []challenge{basic}},
		"no end of quotes": {[]string{`Basic realm="r`, `Basic realm="r"`}, []challenge{{"basic", map[string]string{}}, basic}},
		"nothing":          {[]string{"", " , ,"}, nil},
		"no scheme":        {[]string{`realm="r"`}, nil},
		"other characters": {[]string{`"quoted" Basic`, "\x00", "é"}, nil},
	} {
		if got := parseChallenges(row.headers); len(got) != len(row.want) || len(got) > 0 && !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, row.want)
		}
	}
	if got := parseChallenges([]string{strings.Repeat("Basic a=b,", 100)}); len(got) != maxChallenges {
		t.Errorf("got %d challenges", len(got))
	}
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "a%d=b,", i)
	}
	if got := parseChallenges([]string{"Basic " + many.String()}); len(got) != 1 || len(got[0].params) != maxChallengeParams {
		t.Errorf("got %+v", got)
	}
}

func FuzzChallenges(f *testing.F) {
	for _, s := range []string{
		`Basic realm="r"`, `Bearer realm="https://a/token",service="s",scope="repository:a:pull"`, `Negotiate YWJj==, Basic realm=r`,
		`Basic realm="\"`, `,,=,`, `a/b/=`, "Digest qop=\"auth, auth-int\"",
	} {
		f.Add(s, "Basic")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		got := parseChallenges([]string{one, two})
		if len(got) > maxChallenges {
			t.Fatalf("%d challenges", len(got))
		}
		for _, c := range got {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || len(c.params) > maxChallengeParams || c.params == nil {
				t.Fatalf("got %+v", c)
			}
		}
	})
}

// asker is a registry that asks for a login, with its token server.
type asker struct {
	// ping and repository are the challenges at /v2/ and below; "" for none. "%s" is
	// the token server.
	ping, repository []string
	// takes are the headers that open the repository.
	takes []string
	// token is the status of a token server that gives none.
	token int
	im    testImage
}

func (a *asker) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	ask := func(list []string) {
		for _, c := range list {
			w.Header().Add("WWW-Authenticate", strings.ReplaceAll(c, "%s", "http://"+req.Host+"/token"))
		}
		w.WriteHeader(http.StatusUnauthorized)
	}
	switch auth := req.Header.Get("Authorization"); {
	case req.URL.Path == "/token" && a.token != 0:
		w.WriteHeader(a.token)
	case req.URL.Path == "/token" && auth == "":
		fmt.Fprint(w, `{"token":"anonymous"}`)
	case req.URL.Path == "/token" && auth == basicHeader():
		fmt.Fprint(w, `{"access_token":"mine"}`)
	case req.URL.Path == "/token":
		w.WriteHeader(http.StatusUnauthorized)
	case req.URL.Path == "/v2/" && len(a.ping) > 0 && auth == "":
		ask(a.ping)
	case req.URL.Path == "/v2/":
	case !strings.Contains("\n"+strings.Join(a.takes, "\n")+"\n", "\n"+auth+"\n"):
		ask(a.repository)
	case req.Method == http.MethodPut:
		w.WriteHeader(http.StatusCreated)
	default:
		sendManifest(w, a.im.manifest)
	}
}

// TestSeveralChallenges: which of the ways that a registry offers are taken, in
// whichever order and wherever it offers them.
func TestSeveralChallenges(t *testing.T) {
	t.Parallel()
	const basic, bearer = `Basic realm="r"`, `Bearer realm="%s",service="s"`
	im := newImage(t, "challenges", nil)
	both, turned, oneLine := []string{basic, bearer}, []string{bearer, basic}, []string{basic + ", " + bearer}
	anonymous, mine := "Bearer anonymous", "Bearer mine"
	for name, row := range map[string]struct {
		asker
		login  bool
		denied bool
		// secrets is how often the password may go to the registry as it is.
		secret bool
	}{
		"anonymous, basic first":              {asker: asker{ping: both, repository: both, takes: []string{anonymous}}},
		"anonymous, bearer first":             {asker: asker{ping: turned, repository: turned, takes: []string{anonymous}}},
		"anonymous, one header":               {asker: asker{ping: oneLine, repository: oneLine, takes: []string{anonymous}}},
		"anonymous, open ping":                {asker: asker{repository: both, takes: []string{anonymous}}},
		"anonymous, basic alone":              {asker: asker{ping: []string{basic}, repository: []string{basic}, takes: []string{basicHeader()}}, denied: true},
		"anonymous, bearer for the repo":      {asker: asker{ping: []string{basic}, repository: []string{bearer}, takes: []string{anonymous}}},
		"logged in, basic first":              {asker: asker{ping: both, repository: both, takes: []string{mine}}, login: true},
		"logged in, one header":               {asker: asker{ping: oneLine, repository: oneLine, takes: []string{mine}}, login: true},
		"logged in, no tokens":                {asker: asker{ping: turned, repository: turned, takes: []string{basicHeader()}, token: http.StatusNotFound}, login: true, secret: true},
		"logged in, tokens refused":           {asker: asker{ping: both, repository: both, takes: []string{basicHeader()}, token: http.StatusUnauthorized}, login: true, secret: true},
		"logged in, basic for the repo":       {asker: asker{ping: []string{bearer}, repository: []string{basic}, takes: []string{basicHeader()}}, login: true, secret: true},
		"logged in, bearer for the repo":      {asker: asker{ping: []string{basic}, repository: []string{bearer}, takes: []string{mine}}, login: true, secret: true},
		"logged in, an unknown way":           {asker: asker{ping: []string{"Negotiate"}, repository: []string{"Negotiate"}, takes: []string{basicHeader()}}, login: true, secret: true},
		"logged in, tokens alone, not enough": {asker: asker{ping: []string{bearer}, repository: []string{bearer}, takes: []string{"Bearer other"}}, login: true, denied: true},
		"logged in, nothing is enough":        {asker: asker{ping: both, repository: both, takes: []string{"Bearer other"}, token: http.StatusForbidden}, login: true, denied: true, secret: true},
	} {
		row.asker.im = im
		host, rec := serve(t, &row.asker)
		opts := RegistryOptions{}
		if row.login {
			opts.Keychain = keys(host)
		}
		_, err := testClient(t, opts).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
		if row.denied != errors.Is(err, ErrUnauthorized) || !row.denied && err != nil {
			t.Errorf("%s: got %v", name, err)
		}
		if sent := rec.sentPassword(); sent != row.secret {
			t.Errorf("%s: the registry got the password: %v", name, sent)
		}
		if asked := len(rec.requests("")); asked > 6 {
			t.Errorf("%s: %d requests", name, asked)
		}
		// What is written is sent again whole.
		ref := mustParse(t, host+"/a:v2")
		if err := testClient(t, opts).PutManifest(t.Context(), ref, im.manifest); row.denied == (err == nil) {
			t.Errorf("%s: writing: got %v", name, err)
		}
	}
}

// sentPassword says whether the registry, other than its token server, got it.
func (r *recorder) sentPassword() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, header := range r.auth {
		if header == basicHeader() && !strings.HasSuffix(r.seen[i], "/token") {
			return true
		}
	}
	return false
}

// TestTokenServerBeside: on a machine of a private network the token server is often
// another port of the registry's.
func TestTokenServerBeside(t *testing.T) {
	t.Parallel()
	im := newImage(t, "beside", nil)
	tokens, asked := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != basicHeader() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusCreated) // as good as 200
		fmt.Fprint(w, `{"token":"t"}`)
	}))
	host, rec := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer t" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+tokens+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		sendManifest(w, im.manifest)
	}))
	if _, err := testClient(t, RegistryOptions{Keychain: keys(host)}).Manifest(t.Context(), mustParse(t, host+"/a:v1")); err != nil {
		t.Error(err)
	}
	if len(asked.requests("")) != 1 || rec.sentPassword() {
		t.Errorf("%d requests to the token server; password at the registry: %v", len(asked.requests("")), rec.sentPassword())
	}
}

// TestOtherSuccess: an answer that brings what is needed is one, whatever its status
// is called; one that does not bring it is none.
func TestOtherSuccess(t *testing.T) {
	t.Parallel()
	im := newImage(t, "success", nil)
	for status, ok := range map[int]bool{201: true, 202: true, 203: true, 206: true, 204: false, 299: false} {
		host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			data := im.manifest.Bytes
			if strings.Contains(req.URL.Path, "/blobs/") {
				data = im.layer
			}
			w.Header().Set("Content-Type", im.manifest.Descriptor.MediaType)
			w.WriteHeader(status)
			if status != http.StatusNoContent && req.URL.Path != "/v2/" {
				_, _ = w.Write(data)
			}
		}))
		r := testClient(t, RegistryOptions{Retry: Retry{Attempts: 1}})
		ref := mustParse(t, host+"/a:v1")
		m, err := r.Manifest(t.Context(), ref)
		if ok != (err == nil) || ok && !bytes.Equal(m.Bytes, im.manifest.Bytes) {
			t.Errorf("%d: got %v", status, err)
		}
		data, err := r.Blob(t.Context(), ref, im.descs[1], MaxLayer)
		if ok != (err == nil) || ok && !bytes.Equal(data, im.layer) {
			t.Errorf("%d: got %v", status, err)
		}
	}
	// A part is none where the whole was asked for.
	host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(im.layer[:3])
	}))
	if _, err := testClient(t, RegistryOptions{Retry: Retry{Attempts: 1}}).Blob(t.Context(), mustParse(t, host+"/a:v1"), im.descs[1], MaxLayer); !errors.Is(err, ErrDigestMismatch) {
		t.Errorf("a part: got %v", err)
	}
}

// encoded is credentials of a file that has them only as auth.
type encoded struct{ host string }

func (e encoded) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != e.host {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(authn.AuthConfig{Auth: base64.StdEncoding.EncodeToString([]byte("user:" + secret))}), nil
}

func TestEncodedCredentials(t *testing.T) {
	t.Parallel()
	a := &asker{ping: []string{`Basic realm="r"`}, repository: []string{`Basic realm="r"`}, takes: []string{basicHeader()}, im: newImage(t, "encoded", nil)}
	host, _ := serve(t, a)
	if _, err := testClient(t, RegistryOptions{Keychain: encoded{host}}).Manifest(t.Context(), mustParse(t, host+"/a:v1")); err != nil {
		t.Error(err)
	}
}
