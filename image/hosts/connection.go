// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package hosts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/bpfimg/bpfimg/internal/limited"
)

// maxPEM bounds a file of certificates or a key, in bytes; the system's whole
// bundle is a quarter of it.
const maxPEM = 1 << 20

// connection is how one host is talked to.
type connection struct {
	hosts     *Hosts
	plainHTTP bool
	ca        string
	caOnly    bool
	cert, key string
	// proxySet says that the settings name a proxy, or with nil that there is none.
	proxySet bool
	proxy    *url.URL
}

// files are the certificates of one host.
type files struct {
	// roots are files of certificates to trust, with only instead of the system's.
	roots []string
	only  bool
	// pairs are client certificates and their keys.
	pairs [][2]string
}

// Transport is base with the host's certificates and proxy; base itself if the
// settings have none for it. Else base must be an [*http.Transport], which is left
// as it is. The certificates to trust and the proxy hold for everything that the
// registry leads to (its token server, its storage), as people expect who are behind
// a proxy; the client certificate is shown to the host itself and nobody else.
func (p Place) Transport(base http.RoundTripper) (http.RoundTripper, error) {
	f, err := p.files()
	if err != nil {
		return nil, err
	}
	if len(f.roots)+len(f.pairs) == 0 && !p.conn.proxySet {
		return base, nil
	}
	plain, ok := base.(*http.Transport)
	if !ok {
		return nil, fmt.Errorf("registry %s: certificates and proxies need an *http.Transport, not a %T", p.Registry, base)
	}
	config, err := f.tls()
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", p.Registry, err)
	}
	own := p.conn.clone(plain, config)
	if len(config.Certificates) == 0 {
		return own, nil
	}
	config = config.Clone()
	config.Certificates = nil
	return &hostTransport{host: p.Registry, own: own, others: p.conn.clone(plain, config)}, nil
}

func (c *connection) clone(base *http.Transport, config *tls.Config) *http.Transport {
	t := base.Clone()
	t.TLSClientConfig = config
	if c.proxySet {
		t.Proxy = http.ProxyURL(c.proxy)
	}
	return t
}

// hostTransport keeps the client certificate for its host.
type hostTransport struct {
	host        string
	own, others http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (t *hostTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ownHost, ownPort := canonical(t.host)
	if host, port := canonical(req.URL.Host); host == ownHost && port == ownPort {
		return t.own.RoundTrip(req)
	}
	return t.others.RoundTrip(req)
}

// files are those of the settings, or else those of the certs.d folders.
func (p Place) files() (files, error) {
	c := p.conn
	if c.ca == "" && c.cert == "" {
		return findCerts(c.hosts.certDirs, p.Registry)
	}
	f := files{only: c.caOnly}
	if c.ca != "" {
		f.roots = []string{c.hosts.path(c.ca)}
	}
	if c.cert != "" {
		f.pairs = [][2]string{{c.hosts.path(c.cert), c.hosts.path(c.key)}}
	}
	return f, nil
}

// path of a file that the settings name.
func (h *Hosts) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(h.dir, file)
}

// tls reads the files.
func (f files) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(f.roots) > 0 {
		roots, err := f.pool()
		if err != nil {
			return nil, err
		}
		config.RootCAs = roots
	}
	for _, pair := range f.pairs {
		cert, err := loadPair(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		config.Certificates = append(config.Certificates, cert)
	}
	return config, nil
}

func (f files) pool() (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !f.only {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("reading the system's certificates: %w", err)
		}
		roots = system
	}
	for _, file := range f.roots {
		pem, err := limited.ReadFile(file, maxPEM)
		if err != nil {
			return nil, fmt.Errorf("certificates to trust: %w", err)
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("certificates to trust: %s holds no certificate in PEM form", file)
		}
	}
	return roots, nil
}

func loadPair(cert, key string) (tls.Certificate, error) {
	certPEM, err := limited.ReadFile(cert, maxPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate: %w", err)
	}
	if err := checkPrivate(key); err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate's key: %w", err)
	}
	keyPEM, err := limited.ReadFile(key, maxPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("client certificate's key: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return pair, fmt.Errorf("client certificate %s with key %s: %w", cert, key, err)
	}
	return pair, nil
}

// errOpenKey: a private key that everybody on the machine can use is none.
var errOpenKey = errors.New("everybody on this machine may open it")

// checkPrivate refuses a key that others than its owner and group may open. A
// group is let be, unlike ssh does: services share keys that way.
func checkPrivate(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("%s: %w: run `chmod o-rwx` on it", file, errOpenKey)
	}
	return nil
}
