// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/image/hosts"
)

// pki is a folder with ca.pem, of a TLS server, and a client's cert.pem and
// key.pem that it wants.
type pki struct {
	dir    string
	server *httptest.Server
	// shown counts the requests that came with the client's certificate.
	shown atomic.Int32
}

// newPKI serves h over TLS on 127.0.0.1.
func newPKI(t *testing.T, h http.Handler, wantClient bool) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir()}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if len(req.TLS.PeerCertificates) > 0 {
			p.shown.Add(1)
		}
		h.ServeHTTP(w, req)
	}))
	p.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	client := p.client(t)
	p.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	if wantClient {
		pool := x509.NewCertPool()
		pool.AddCert(client)
		p.server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	}
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	p.write(t, "ca.pem", "CERTIFICATE", p.server.Certificate().Raw)
	return p
}

func (p *pki) host() string { return strings.TrimPrefix(p.server.URL, "https://") }

// client makes a certificate that vouches for itself.
func (p *pki) client(t *testing.T) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "cert.pem", "CERTIFICATE", der)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p.write(t, "key.pem", "PRIVATE KEY", private)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (p *pki) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	data := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(p.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// settings writes config.yaml beside the certificates and reads it.
func (p *pki) settings(t *testing.T, text string, certDirs ...string) *hosts.Hosts {
	t.Helper()
	path := filepath.Join(p.dir, "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := hosts.Load(path, hosts.Options{CertDirs: certDirs})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestCertificates: whom the client trusts and what it shows, by the settings.
func TestCertificates(t *testing.T) {
	t.Parallel()
	im := newImage(t, "tls", nil)
	p := newPKI(t, answer(func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, im.manifest) }), true)
	certs := t.TempDir()
	at := filepath.Join(certs, p.host())
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"ca.pem": "ca.crt", "cert.pem": "client.cert", "key.pem": "client.key"} {
		if err := os.Link(filepath.Join(p.dir, from), filepath.Join(at, to)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, settings string
		dirs           []string
		want           string // in the error; "" for none
	}{
		{"nothing is said", "", nil, "certificate signed by unknown authority; if its certificate is of an authority of your own, name that in the settings (ca)"},
		{"all is said", "registries: [{prefix: HOST, ca: ca.pem, cert: cert.pem, key: key.pem}]", nil, ""},
		{"only the authority", "registries: [{prefix: HOST, ca: ca.pem}]", nil, "certificate required"},
		{"that alone is trusted", "registries: [{prefix: HOST, ca: ca.pem, ca-only: true, cert: cert.pem, key: key.pem}]", nil, ""},
		{"another is trusted alone", "registries: [{prefix: HOST, ca: cert.pem, ca-only: true, cert: cert.pem, key: key.pem}]", nil, "unknown authority"},
		{"as a mirror", "registries: [{prefix: 'registry.example', mirrors: [{location: HOST, ca: ca.pem, cert: cert.pem, key: key.pem}]}]", nil, ""},
		{"a folder", "", []string{filepath.Join(certs, "none"), certs}, ""},
		{"the settings come first", "registries: [{prefix: HOST, ca: cert.pem}]", []string{certs}, "unknown authority"},
		{"settings about something else", "registries: [{prefix: HOST, proxy: ''}]", []string{certs}, ""},
		{"no such file", "registries: [{prefix: HOST, ca: gone.pem}]", nil, "gone.pem"},
		{"no certificate", "registries: [{prefix: HOST, ca: key.pem}]", nil, "key.pem holds no certificate"},
		{"no key", "registries: [{prefix: HOST, ca: ca.pem, cert: cert.pem, key: ca.pem}]", nil, "client certificate"},
	} {
		t.Run(test.name, func(t *testing.T) { // one after the other: they share a settings file
			h := p.settings(t, strings.ReplaceAll(test.settings, "HOST", p.host()), test.dirs...)
			name := p.host()
			if strings.Contains(test.settings, "mirrors") {
				name = "registry.example"
			}
			_, err := testClient(t, RegistryOptions{Hosts: h}).Manifest(t.Context(), mustParse(t, name+"/a:v1"))
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// TestClientCertificateStaysHome: what a registry leads to is trusted by the same
// authority, but is not shown the client's certificate.
func TestClientCertificateStaysHome(t *testing.T) {
	t.Parallel()
	data := []byte("blob")
	storage := newPKI(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }), false)
	p := newPKI(t, answer(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, storage.server.URL+"/x", http.StatusTemporaryRedirect)
	}), true)
	h := p.settings(t, "registries: [{prefix: '"+p.host()+"', ca: ca.pem, cert: cert.pem, key: key.pem}]")
	got, err := testClient(t, RegistryOptions{Hosts: h}).Blob(t.Context(), mustParse(t, p.host()+"/a:v1"), describe("", data), 100)
	if err != nil || string(got) != string(data) {
		t.Fatalf("got %q, %v", got, err)
	}
	if p.shown.Load() == 0 || storage.shown.Load() != 0 {
		t.Errorf("the certificate was shown %d times to the registry and %d times to its storage", p.shown.Load(), storage.shown.Load())
	}
}

// proxy is a real one: CONNECT, and plain requests; every name is one server.
type proxy struct {
	to string

	mu    sync.Mutex
	asked []string
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, req.Method+" "+req.Host+" "+req.Header.Get("Proxy-Authorization"))
	p.mu.Unlock()
	if req.Method != http.MethodConnect {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	w.WriteHeader(http.StatusOK)
	in, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() })
	both.Go(func() { _, _ = io.Copy(in, out); _ = in.(*net.TCPConn).CloseWrite() })
	both.Wait()
}

// TestProxy: the settings' counts, with its password, and "" is none.
func TestProxy(t *testing.T) {
	t.Parallel()
	im := newImage(t, "proxy", nil)
	p := newPKI(t, answer(func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, im.manifest) }), false)
	through := &proxy{to: p.host()}
	address, _ := serve(t, through)
	ask := func(settings, name string) error {
		h := p.settings(t, "registries: [{prefix: "+name+", ca: ca.pem, "+settings+"}]")
		client := testClient(t, RegistryOptions{Hosts: h})
		_, err := client.Manifest(t.Context(), mustParse(t, name+"/a:v1"))
		client.transport.(*http.Transport).CloseIdleConnections()
		return err
	}
	// example.com is a name in the server's certificate.
	if err := ask("proxy: 'http://user:"+secret+"@"+address+"'", "example.com"); err != nil {
		t.Error(err)
	}
	if len(through.asked) == 0 || through.asked[0] != "CONNECT example.com:443 "+basicHeader() {
		t.Errorf("the proxy saw %q", through.asked)
	}
	through.asked = nil
	if err := ask("proxy: ''", p.host()); err != nil || len(through.asked) != 0 {
		t.Errorf("got %v, and the proxy saw %q", err, through.asked)
	}
	err := ask("proxy: 'http://user:"+secret+"@"+nobody(t)+"'", "example.com")
	if err == nil || !strings.Contains(err.Error(), "the proxy on the way to registry example.com") || strings.Contains(err.Error(), secret) {
		t.Errorf("a proxy that is not there: %v", err)
	}
}
